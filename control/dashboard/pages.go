package dashboard

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
)

//go:embed web
var web embed.FS

// handlePages serves the embedded files, the page itself as /.
func (s *Server) handlePages() {
	files, err := fs.ReadDir(web, "web")
	if err != nil {
		panic("dashboard: " + err.Error()) // they are in the program
	}
	for _, f := range files {
		body, err := web.ReadFile("web/" + f.Name())
		if err != nil {
			panic("dashboard: " + err.Error())
		}
		name := "/" + f.Name()
		if f.Name() == "index.html" {
			name = "/{$}"
		}
		s.mux.HandleFunc("GET "+name, page(f.Name(), body))
	}
}

// page serves one file, which a browser asks for again but need not load again.
func page(name string, body []byte) http.HandlerFunc {
	kind := mime.TypeByExtension(path.Ext(name))
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(body))
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Etag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(body) // the reader has gone
	}
}
