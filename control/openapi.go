package control

import (
	_ "embed"
	"net/http"
	"time"
)

//go:embed openapi.json
var openAPI []byte

// OpenAPI returns the description of the API, an OpenAPI 3.1 document.
func OpenAPI() []byte { return openAPI[:len(openAPI):len(openAPI)] }

func (s *Server) getOpenAPI(w http.ResponseWriter, _ *http.Request) (any, error) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.cfg.WriteTimeout))
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI)
	return nil, nil
}
