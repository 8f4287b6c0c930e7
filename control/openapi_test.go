package control

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gomuxd/access"
	"gomuxd/lockdown/trust"
)

type schema struct {
	Ref        string            `json:"$ref"`
	Type       any               `json:"type"` // a string, or a list of them
	Format     string            `json:"format"`
	Enum       []string          `json:"enum"`
	Required   []string          `json:"required"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	Extra      *bool             `json:"additionalProperties"`
	AnyOf      []schema          `json:"anyOf"`
}

type document struct {
	OpenAPI    string
	Paths      map[string]map[string]json.RawMessage
	Components struct{ Schemas map[string]schema }
}

type operation struct {
	OperationID string
	Operator    bool                       `json:"x-operator"`
	Responses   map[string]json.RawMessage `json:"responses"`
}

func parsed(t *testing.T) document {
	t.Helper()
	var doc document
	if err := json.Unmarshal(OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// The description has every route and nothing else, each with its status, who
// may use it, and its variables.
func TestOpenAPIRoutes(t *testing.T) {
	doc := parsed(t)
	described := map[string]bool{}
	ids := map[string]bool{}
	for path, item := range doc.Paths {
		variables := strings.Count(path, "{")
		var params []schema
		if raw, ok := item["parameters"]; ok {
			if err := json.Unmarshal(raw, &params); err != nil {
				t.Fatal(err)
			}
		}
		if len(params) != variables || variables == 1 && !strings.Contains(path, "{"+params[0].Ref[strings.LastIndexByte(params[0].Ref, '/')+1:]+"}") {
			t.Errorf("%s has parameters %v", path, params)
		}
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			name := strings.ToUpper(method) + " " + path
			i := slices.IndexFunc(routes, func(r route) bool { return r.method+" "+r.path == name })
			if i < 0 {
				t.Errorf("%s is described, but not served", name)
				continue
			}
			described[name] = true
			var op operation
			if err := json.Unmarshal(raw, &op); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			status := max(routes[i].status, 200)
			_, success := op.Responses[strconv.Itoa(status)]
			_, refusal := op.Responses["403"]
			_, other := op.Responses["default"]
			if !success || !other || refusal != (routes[i].verb != access.List) || op.Operator != (routes[i].verb != access.List) {
				t.Errorf("%s: responses %v, operator %v; want %d, operator %v", name, op.Responses, op.Operator, status, (routes[i].verb != access.List))
			}
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s: operationId %q", name, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
	for _, r := range routes {
		if !described[r.method+" "+r.path] {
			t.Errorf("%s %s is not described", r.method, r.path)
		}
	}
}

// Every field of every type is described, with its JSON type.
func TestOpenAPISchemas(t *testing.T) {
	doc := parsed(t)
	types := []any{Device{}, Latency{}, Recovery{}, Stats{}, DeviceStats{}, Event{}, Record{}, Copy{}, Daemon{}, TrustRequest{}, CaptureRequest{}, ModeRequest{}, RestoreRequest{}, UntrustResult{}, Error{}}
	for _, v := range types {
		typ := reflect.TypeOf(v)
		s, ok := doc.Components.Schemas[typ.Name()]
		if !ok {
			t.Errorf("%s has no schema", typ.Name())
			continue
		}
		if request := strings.HasSuffix(typ.Name(), "Request"); request != (s.Extra != nil && !*s.Extra) {
			t.Errorf("%s: additionalProperties %v", typ.Name(), s.Extra)
		}
		fields := map[string]bool{}
		var required []string
		for _, f := range reflect.VisibleFields(typ) {
			if f.Anonymous {
				continue
			}
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields[name] = true
			if options != "omitempty" {
				required = append(required, name)
			}
			got := s.Properties[name]
			want := kindOf(f.Type)
			if typ.Name() == "Daemon" && name == "records" {
				want = "[array null] of Record" // null for those who may not list them
			}
			if got.kind() != want {
				t.Errorf("%s.%s is described as %s, want %s", typ.Name(), name, got.kind(), want)
			}
		}
		for name := range s.Properties {
			if !fields[name] {
				t.Errorf("%s.%s is described, but is no field", typ.Name(), name)
			}
		}
		slices.Sort(required)
		slices.Sort(s.Required)
		if !slices.Equal(required, s.Required) {
			t.Errorf("%s requires %v, want %v", typ.Name(), s.Required, required)
		}
	}
	if len(doc.Components.Schemas) != len(types) {
		t.Errorf("%d schemas, want %d", len(doc.Components.Schemas), len(types))
	}
}

// kindOf is what schema.kind should be for a Go type.
func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "string date-time"
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct && t.Elem() != reflect.TypeFor[time.Time]():
		return t.Elem().Name() + " or null"
	case t.Kind() == reflect.Pointer:
		kind, format, _ := strings.Cut(kindOf(t.Elem()), " ")
		return strings.TrimSpace("[" + kind + " null] " + format)
	case t.Kind() == reflect.Slice:
		return "array of " + kindOf(t.Elem())
	case t.Kind() == reflect.Struct:
		return t.Name()
	case t.Kind() == reflect.String:
		return "string"
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "integer"
	case t.Kind() == reflect.Float64:
		return "number"
	}
	return "?"
}

func (s schema) kind() string {
	switch {
	case len(s.AnyOf) == 2:
		return s.AnyOf[0].kind() + " or " + s.AnyOf[1].kind()
	case s.Ref != "":
		return strings.TrimPrefix(s.Ref, "#/components/schemas/")
	case s.Items != nil:
		return fmt.Sprint(s.Type, " of ", s.Items.kind())
	}
	return strings.TrimSpace(fmt.Sprint(s.Type, " ", s.Format))
}

func TestOpenAPIEnums(t *testing.T) {
	schemas := parsed(t).Components.Schemas
	var states []string
	for _, s := range trust.States() {
		states = append(states, string(s))
	}
	if got := schemas["Device"].Properties["trust"].Enum; !slices.Equal(got, states) {
		t.Errorf("states %v, want %v", got, states)
	}
	codes := slices.Clone(schemas["Error"].Properties["code"].Enum)
	for code := range statuses {
		i := slices.Index(codes, code)
		if i < 0 {
			t.Errorf("code %s is not described", code)
			continue
		}
		codes = slices.Delete(codes, i, i+1)
	}
	if len(codes) > 0 {
		t.Errorf("codes %v are described, but unknown", codes)
	}
}
