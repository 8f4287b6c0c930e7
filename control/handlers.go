package control

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"

	"go.uber.org/zap"

	"gomuxd/access"
)

func (s *Server) getDevices(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.devices(r), nil
}

// devices are those that who asks is to know of.
func (s *Server) devices(r *http.Request) []Device {
	see := sees(r)
	return slices.DeleteFunc(s.hub.Devices(), func(d Device) bool { return !see(d) })
}

func (s *Server) getDevice(_ http.ResponseWriter, r *http.Request) (any, error) {
	_, d, err := s.hub.find(r.PathValue("device"), sees(r))
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (s *Server) getDaemon(_ http.ResponseWriter, r *http.Request) (any, error) {
	d := s.actions.Daemon(r.Context())
	d.Devices = s.devices(r)
	if guestOf(r.Context()).peer.May(access.Operate, access.Device{}, 0) != nil {
		d.Records = nil
	} else {
		d.Records = s.shown(r, d.Records)
	}
	if d.Sockets == nil {
		d.Sockets = []string{}
	}
	return d, nil
}

func (s *Server) getRecords(_ http.ResponseWriter, r *http.Request) (any, error) {
	records, err := s.actions.Records(r.Context())
	if err != nil {
		return nil, err
	}
	return s.shown(r, records), nil
}

// shown are the records of phones that who asks may act on. Every list is one, so
// that programs need not expect null.
func (s *Server) shown(r *http.Request, records []Record) []Record {
	all := []Record{}
	for _, record := range records {
		if guestOf(r.Context()).peer.May(access.Operate, s.hub.named(record.UDID), 0) != nil {
			continue
		}
		if record.Copies == nil {
			record.Copies = []Copy{}
		}
		all = append(all, record)
	}
	return all
}

func (s *Server) getRecord(_ http.ResponseWriter, r *http.Request) (any, error) {
	records, err := s.actions.Records(r.Context())
	if err != nil {
		return nil, err
	}
	return s.findRecord(r, s.shown(r, records), r.PathValue("udid"))
}

// findRecord is findRecord, where ref may also name a phone that is plugged in.
func (s *Server) findRecord(r *http.Request, records []Record, ref string) (Record, error) {
	record, err := findRecord(records, ref)
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeNoRecord {
		return record, err
	}
	_, d, ferr := s.hub.find(ref, sees(r))
	switch {
	case ferr == nil && d.UDID != nil:
		return findRecord(records, *d.UDID)
	case errors.As(ferr, &e) && e.Code == CodeAmbiguous:
		return record, ferr
	}
	return record, err
}

func (s *Server) postTrust(w http.ResponseWriter, r *http.Request) (any, error) {
	var req TrustRequest
	if err := decode(w, r, &req); err != nil {
		return nil, err
	}
	return s.trust(r, req)
}

func (s *Server) postAskAgain(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := decode(w, r, &struct{}{}); err != nil {
		return nil, err
	}
	return s.trust(r, TrustRequest{})
}

func (s *Server) trust(r *http.Request, req TrustRequest) (any, error) {
	key, d, err := s.findPhone(r)
	if err != nil {
		return nil, err
	}
	if err := s.actions.Trust(r.Context(), key, req); err != nil {
		return nil, err
	}
	s.acted(r, "trust asked for", zap.String("udid", *d.UDID), zap.Bool("touch", req.Touch))
	if _, present, err := s.hub.find(*d.UDID, nil); err == nil {
		d = present
	}
	return d, nil
}

// findPhone finds a device that can be talked to, and acted on by who asks.
func (s *Server) findPhone(r *http.Request) (key string, d Device, err error) {
	key, d, err = s.hub.find(r.PathValue("device"), sees(r))
	if err != nil {
		return key, d, err
	}
	if e := s.operates(r, d.named()); e != nil {
		return key, d, e
	}
	if d.UDID == nil {
		err = Errorf(CodeNoMux, "%s is in state %s and cannot be talked to: %s", d.describe(), d.Trust, d.NextStep)
	}
	return key, d, err
}

func (s *Server) postUntrust(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := decode(w, r, &struct{}{}); err != nil {
		return nil, err
	}
	_, d, err := s.findPhone(r)
	if err != nil {
		return nil, err
	}
	return s.untrust(r, *d.UDID)
}

func (s *Server) untrust(r *http.Request, udid string) (any, error) {
	result, err := s.actions.Untrust(r.Context(), udid)
	if err != nil {
		return nil, err
	}
	s.acted(r, "trust ended", zap.String("udid", udid))
	return result, nil
}

func (s *Server) postRecordUntrust(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := decode(w, r, &struct{}{}); err != nil {
		return nil, err
	}
	udid, err := s.recordUDID(r)
	if err != nil {
		return nil, err
	}
	return s.untrust(r, udid)
}

func (s *Server) postRestore(w http.ResponseWriter, r *http.Request) (any, error) {
	var req RestoreRequest
	if err := decode(w, r, &req); err != nil {
		return nil, err
	}
	if req.Copy == "" {
		return nil, Errorf(CodeBadRequest, `say which copy, as in {"copy":"ID"}`)
	}
	udid, err := s.recordUDID(r)
	if err != nil {
		return nil, err
	}
	if err := s.actions.Restore(r.Context(), udid, req.Copy); err != nil {
		return nil, err
	}
	s.acted(r, "record restored", zap.String("udid", udid))
	return nil, nil
}

// recordUDID returns the UDID that a request means. A full one need not be in
// the list: a record that was set aside may not be, and yet be restored.
func (s *Server) recordUDID(r *http.Request) (string, error) {
	ref := r.PathValue("udid")
	records, err := s.actions.Records(r.Context())
	if err != nil {
		return "", err
	}
	record, err := s.findRecord(r, s.shown(r, records), ref)
	switch {
	case err == nil:
		return record.UDID, nil
	case !fullUDID(ref):
		return "", err
	}
	if e := s.operates(r, s.hub.named(ref)); e != nil {
		return "", e
	}
	return ref, nil
}

// fullUDID reports whether s is a whole UDID as phones write it: 40 hexadecimal
// digits, or 8 and 16 with a hyphen.
func fullUDID(s string) bool {
	for i, c := range []byte(s) {
		hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
		if len(s) == 25 && i == 8 {
			hex = c == '-'
		}
		if !hex {
			return false
		}
	}
	return len(s) == 40 || len(s) == 25
}

// parallelUntrusts is how many phones are told at the same time.
const parallelUntrusts = 8

func (s *Server) postUntrustAll(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := decode(w, r, &struct{}{}); err != nil {
		return nil, err
	}
	records, err := s.actions.Records(r.Context())
	if err != nil {
		return nil, err
	}
	records = slices.DeleteFunc(s.shown(r, records), func(r Record) bool { return r.SetAside })
	results := make([]UntrustResult, len(records))
	tokens := make(chan struct{}, parallelUntrusts)
	var wg sync.WaitGroup
	for i := range records {
		tokens <- struct{}{}
		wg.Go(func() {
			results[i] = s.untrustOne(r.Context(), records[i].UDID)
			<-tokens
		})
	}
	wg.Wait()
	s.acted(r, "trust ended with all phones", zap.Int("records", len(records)))
	return results, nil
}

func (s *Server) untrustOne(ctx context.Context, udid string) UntrustResult {
	result, err := s.actions.Untrust(ctx, udid)
	if err != nil {
		result.Error = asError(err).Message
	}
	result.UDID = udid
	return result
}

// acted logs what an operator did.
func (s *Server) acted(r *http.Request, what string, fields ...zap.Field) {
	p := guestOf(r.Context()).peer
	s.log.Info(what, append(fields, zap.Int32("pid", p.PID), zap.Uint32("uid", p.UID))...)
}
