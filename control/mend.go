package control

import (
	"context"
	"net/http"

	"go.uber.org/zap"

	"gomuxd/access"
)

func (s *Server) postReset(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := decode(w, r, &struct{}{}); err != nil {
		return nil, err
	}
	return s.mend(r, "device reset", s.actions.Reset)
}

func (s *Server) postReopen(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := decode(w, r, &struct{}{}); err != nil {
		return nil, err
	}
	return s.mend(r, "device opened anew", s.actions.Reopen)
}

func (s *Server) postMode(w http.ResponseWriter, r *http.Request) (any, error) {
	var req ModeRequest
	if err := decode(w, r, &req); err != nil {
		return nil, err
	}
	if req.Mode == nil || *req.Mode < 0 || *req.Mode > 5 {
		return nil, Errorf(CodeBadRequest, `say which USB mode, from 1 to 5, or 0 to keep what there is, as in {"mode":1}`)
	}
	return s.mend(r, "USB mode of a device set", func(ctx context.Context, key string) error {
		return s.actions.Mode(ctx, key, *req.Mode)
	}, zap.Int("mode", *req.Mode))
}

// mend does something with the one device that the request names, which may be below
// the multiplexer.
func (s *Server) mend(r *http.Request, what string, act func(context.Context, string) error, fields ...zap.Field) (any, error) {
	key, d, err := s.hub.find(r.PathValue("device"), sees(r))
	if err != nil {
		return nil, err
	}
	if e := s.allows(r, access.Mend, d.named()); e != nil {
		return nil, e
	}
	fields = append(fields, zap.String("port_path", d.PortPath))
	if d.UDID != nil {
		fields = append(fields, zap.String("udid", *d.UDID))
	}
	if err := act(r.Context(), key); err != nil {
		return nil, err
	}
	s.acted(r, what, fields...)
	if now, known := s.hub.at(key); known {
		d = now
	}
	return d, nil
}
