package virtualphone

// AnyRequest stands for a request of any name where one is asked for.
const AnyRequest = "*"

// forced is what a request gets instead of its proper reply. The zero value is
// nothing of the kind.
type forced struct {
	err     lockdownError
	silent  bool
	garbage Garbage
}

// FailNext makes the next request of that name fail with an error name of
// Apple's, e.g. FailNext("Pair", "FMiPProtected"). Calls of FailNext, SilenceNext
// and GarbageNext queue up and go before FailAlways and SilenceAlways. All of them
// outlive unplug and reboot; Heal ends them.
func (p *Phone) FailNext(request, errorName string) {
	p.forceNext(request, forced{err: lockdownError(errorName)})
}

// FailAlways makes every request of that name fail; "" ends it.
func (p *Phone) FailAlways(request, errorName string) {
	p.forceEver(request, forced{err: lockdownError(errorName)})
}

// SilenceNext makes lockdownd read the next request of that name and neither carry
// it out nor answer it. The connection stays as it is.
func (p *Phone) SilenceNext(request string) { p.forceNext(request, forced{silent: true}) }

// SilenceAlways is SilenceNext for every request of that name. SilenceAlways(AnyRequest)
// is a phone that has stopped answering.
func (p *Phone) SilenceAlways(request string) { p.forceEver(request, forced{silent: true}) }

// GarbageNext makes lockdownd carry out the next request of that name and answer it
// with nonsense.
func (p *Phone) GarbageNext(request string, kind Garbage) {
	p.forceNext(request, forced{garbage: kind})
}

// GarbageAlways is GarbageNext for every request of that name.
func (p *Phone) GarbageAlways(request string, kind Garbage) {
	p.forceEver(request, forced{garbage: kind})
}

// Heal ends what is forced on requests of that name, what is queued, too; for
// AnyRequest it ends all.
func (p *Phone) Heal(request string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if request == AnyRequest {
		clear(p.forcedNext)
		clear(p.forcedEver)
		return
	}
	delete(p.forcedNext, request)
	delete(p.forcedEver, request)
}

func (p *Phone) forceNext(request string, f forced) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forcedNext[request] = append(p.forcedNext[request], f)
}

func (p *Phone) forceEver(request string, f forced) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forcedEver[request] = f
}

// forcedReply takes what is forced on this request: what is queued, then what is for
// ever, each by its name before any name.
func (p *Phone) forcedReply(request string) forced {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range []string{request, AnyRequest} {
		if q := p.forcedNext[name]; len(q) > 0 {
			p.forcedNext[name] = q[1:]
			return q[0]
		}
	}
	if f := p.forcedEver[request]; f != (forced{}) {
		return f
	}
	return p.forcedEver[AnyRequest]
}
