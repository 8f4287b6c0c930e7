package control

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"go.uber.org/zap"
)

func (s *Server) getDevices(http.ResponseWriter, *http.Request) (any, error) {
	return s.hub.Devices(), nil
}

func (s *Server) getDevice(_ http.ResponseWriter, r *http.Request) (any, error) {
	_, d, err := s.hub.Find(r.PathValue("device"))
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (s *Server) getDaemon(_ http.ResponseWriter, r *http.Request) (any, error) {
	d := s.actions.Daemon(r.Context())
	d.Devices = s.hub.Devices()
	switch {
	case !guestOf(r.Context()).peer.operator(s.cfg.Group):
		d.Records = nil
	case d.Records == nil:
		d.Records = []Record{}
	}
	d.Records = shown(d.Records)
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
	if records == nil {
		records = []Record{}
	}
	return shown(records), nil
}

// shown makes every list of copies one, so that programs need not expect null.
func shown(records []Record) []Record {
	for i := range records {
		if records[i].Copies == nil {
			records[i].Copies = []Copy{}
		}
	}
	return records
}

func (s *Server) getRecord(_ http.ResponseWriter, r *http.Request) (any, error) {
	records, err := s.actions.Records(r.Context())
	if err != nil {
		return nil, err
	}
	record, err := s.findRecord(records, r.PathValue("udid"))
	if err != nil {
		return nil, err
	}
	return shown([]Record{record})[0], nil
}

// findRecord is findRecord, where ref may also name a phone that is plugged in.
func (s *Server) findRecord(records []Record, ref string) (Record, error) {
	record, err := findRecord(records, ref)
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeNoRecord {
		return record, err
	}
	_, d, ferr := s.hub.Find(ref)
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
	key, d, err := s.findPhone(r.PathValue("device"))
	if err != nil {
		return nil, err
	}
	if err := s.actions.Trust(r.Context(), key, req); err != nil {
		return nil, err
	}
	s.acted(r, "trust asked for", zap.String("udid", *d.UDID), zap.Bool("touch", req.Touch))
	if _, present, err := s.hub.Find(*d.UDID); err == nil {
		d = present
	}
	return d, nil
}

// findPhone finds a device that can be talked to.
func (s *Server) findPhone(ref string) (key string, d Device, err error) {
	key, d, err = s.hub.Find(ref)
	if err == nil && d.UDID == nil {
		err = Errorf(CodeNoMux, "%s is in state %s and cannot be talked to: %s", d.describe(), d.Trust, d.NextStep)
	}
	return key, d, err
}

func (s *Server) postUntrust(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := decode(w, r, &struct{}{}); err != nil {
		return nil, err
	}
	_, d, err := s.findPhone(r.PathValue("device"))
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
	record, err := s.findRecord(records, ref)
	switch {
	case err == nil:
		return record.UDID, nil
	case fullUDID(ref):
		return ref, nil
	}
	return "", err
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
