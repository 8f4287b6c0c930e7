package exporter

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gomuxd/control"
	"gomuxd/control/observer"
)

// farm is a daemon with some phones; without any it does not answer.
type farm []control.Device

func (f farm) Watch(ctx context.Context, fn func(control.Event) error) error {
	if f == nil {
		return control.ErrNoDaemon
	}
	for _, d := range f {
		if err := fn(control.Event{Type: control.DeviceAdded, Device: d}); err != nil {
			return err
		}
	}
	if err := fn(control.Event{Type: control.Ready}); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (f farm) Stats(context.Context) (control.Stats, error) {
	var s control.Stats
	for _, d := range f {
		s.Devices = append(s.Devices, control.DeviceStats{UDID: d.UDID, PortPath: d.PortPath, Counters: d.Counters})
	}
	return s, nil
}

func (farm) Daemon(context.Context) (control.Daemon, error) {
	return control.Daemon{Version: "1.2.3", Preflight: "auto", Started: time.Unix(1_800_000_000, 0)}, nil
}

func ptr[T any](v T) *T { return &v }

// busy is a phone of which everything is known.
func busy(n int) control.Device {
	at := time.Unix(1_800_000_500, 0)
	return control.Device{
		DeviceID: ptr(uint32(n)), UDID: ptr(fmt.Sprintf("%040x", n)), Name: fmt.Sprintf("Phone \"%d\"\n", n), Product: "iPhone14,5", Version: "17.5",
		PortPath: fmt.Sprintf("1-%d", n), Trust: "trusted", Since: at, PluggedIn: at, ExpiresInDays: ptr(20),
		Counters: control.Counters{
			Sessions: 2, BytesIn: 1000, BytesOut: 200, Connects: 6, Refused: 3, Unanswered: 1, ResetsByPhone: 4, ResetsByHost: 5, LastByte: &at, Recoveries: 7,
			ConnectLatency: control.Latency{LE: []float64{0.001, 0.01, 0.1}, Counts: []uint64{1, 2, 3, 0}, Sum: 0.25},
		},
	}
}

// scrape returns what Prometheus would get of a farm, when it contains a line.
func scrape(t *testing.T, f farm, want string) string {
	t.Helper()
	o := observer.New(f)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { o.Run(ctx); close(done) }()
	defer func() { stop(); <-done }()
	h := Handler(o)
	for deadline := time.Now().Add(20 * time.Second); ; {
		changed := o.Changed()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		body, _ := io.ReadAll(w.Result().Body)
		if w.Code != 200 {
			t.Fatalf("%d: %s", w.Code, body)
		}
		if strings.Contains("\n"+string(body), "\n"+want) {
			return string(body)
		}
		select {
		case <-changed:
		case <-time.After(time.Until(deadline)):
			t.Fatalf("no line %q in\n%s", want, body)
		}
	}
}

func TestMetrics(t *testing.T) {
	denied := control.Device{DeviceID: ptr(uint32(9)), UDID: ptr("bad"), Trust: "denied", PortPath: "1-9"}
	below := control.Device{Trust: "recovery", PortPath: "2-1", Model: "iPhone"}
	net := busy(1)
	net.DeviceID, net.PortPath, net.Connection = ptr(uint32(2)), "", "Network"
	got := scrape(t, farm{busy(1), denied, below, net}, `gomuxd_daemon_info{trust_policy="auto",version="1.2.3"} 1`)
	id := fmt.Sprintf("%040x", 1)
	for _, want := range []string{
		`gomuxd_up 1`,
		`gomuxd_daemon_start_time_seconds 1.8e+09`,
		`gomuxd_phones{standing="fault"} 2`, `gomuxd_phones{standing="person"} 0`, `gomuxd_phones{standing="ready"} 2`,
		`gomuxd_phone_info{name="Phone \"1\"\n",phone="` + id + `",port="1-1",product="iPhone14,5",version="17.5"} 1`,
		`gomuxd_phone_info{name="iPhone",phone="2-1",port="2-1",product="",version=""} 1`,
		`gomuxd_phone_trust_state{phone="bad",state="denied"} 1`,
		`gomuxd_phone_needs_action{phone="bad"} 1`, `gomuxd_phone_needs_action{phone="` + id + `"} 0`,
		`gomuxd_phone_received_bytes_total{phone="` + id + `"} 1000`, `gomuxd_phone_sent_bytes_total{phone="` + id + `"} 200`,
		`gomuxd_phone_sessions{phone="` + id + `"} 2`, `gomuxd_phone_connects_total{phone="` + id + `"} 6`,
		`gomuxd_phone_connects_refused_total{phone="` + id + `"} 3`, `gomuxd_phone_connects_unanswered_total{phone="` + id + `"} 1`,
		`gomuxd_phone_resets_total{by="phone",phone="` + id + `"} 4`, `gomuxd_phone_resets_total{by="host",phone="` + id + `"} 5`,
		`gomuxd_phone_recoveries_total{phone="` + id + `"} 7`, `gomuxd_phone_trust_remaining_seconds{phone="` + id + `"} 1.728e+06`,
		`gomuxd_phone_last_byte_timestamp_seconds{phone="` + id + `"} 1.8000005e+09`,
		`gomuxd_phone_connect_duration_seconds_bucket{phone="` + id + `",le="0.01"} 3`,
		`gomuxd_phone_connect_duration_seconds_bucket{phone="` + id + `",le="+Inf"} 6`,
		`gomuxd_phone_connect_duration_seconds_sum{phone="` + id + `"} 0.25`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no line %q", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
	if strings.Contains(got, `gomuxd_phone_sessions{phone="2-1"}`) {
		t.Error("a phone below the multiplexer has connections")
	}
}

// TestNoDaemon asserts that without a daemon nothing is told of phones: what was
// known would look like the present.
func TestNoDaemon(t *testing.T) {
	got := scrape(t, nil, "gomuxd_up 0\n")
	for line := range strings.Lines(got) {
		if !strings.HasPrefix(line, "#") && line != "gomuxd_up 0\n" {
			t.Errorf("without a daemon: %s", line)
		}
	}
}

// TestCardinality asserts that a farm is not too much for a small Prometheus.
func TestCardinality(t *testing.T) {
	var f farm
	for i := range 100 {
		d := busy(i)
		d.ConnectLatency = control.Latency{LE: make([]float64, 14), Counts: make([]uint64, 15)}
		for j := range d.ConnectLatency.LE {
			d.ConnectLatency.LE[j] = float64(j+1) / 1000
		}
		f = append(f, d)
	}
	series := 0
	for line := range strings.Lines(scrape(t, f, `gomuxd_daemon_info`)) {
		if !strings.HasPrefix(line, "#") {
			series++
		}
	}
	if series > 4000 {
		t.Errorf("100 phones have %d series", series)
	}
}

const packaging = "../../packaging"

// TestReferences asserts that the alerts, their tests and the Grafana dashboard are
// about metrics and labels that exist.
func TestReferences(t *testing.T) {
	names, labels := map[string]bool{}, map[string]bool{"instance": true, "le": true, "job": true}
	var f farm
	for _, state := range []string{"trusted", "denied"} {
		d := busy(len(f))
		d.Trust = state
		f = append(f, d)
	}
	for line := range strings.Lines(scrape(t, f, `gomuxd_daemon_info`)) {
		m := regexp.MustCompile(`^(gomuxd_\w+)(?:\{(.*)\})? `).FindStringSubmatch(line)
		if m == nil {
			continue
		}
		names[m[1]] = true
		for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(m[2], -1) {
			labels[l[1]] = true
		}
	}
	for _, file := range []string{"prometheus/gomuxd.rules.yml", "prometheus/gomuxd.rules.test.yml", "grafana/gomuxd.json"} {
		b, err := os.ReadFile(filepath.Join(packaging, file))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`gomuxd_\w+`).FindAllString(string(b), -1)
		if len(found) < 5 {
			t.Errorf("%s names %d metrics", file, len(found))
		}
		for _, name := range found {
			if !names[name] {
				t.Errorf("%s names %s, which does not exist", file, name)
			}
		}
		used := regexp.MustCompile(`(?:\bby|\bon|group_left) \(([^)]*)\)|\$labels\.(\w+)|\{\{(\w+)\}\}`).FindAllStringSubmatch(string(b), -1)
		for _, m := range used {
			for _, l := range strings.Split(m[1]+m[2]+m[3], ", ") {
				if l != "" && !labels[l] {
					t.Errorf("%s names the label %s, which does not exist", file, l)
				}
			}
		}
	}
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	b, err := os.ReadFile(filepath.Join(packaging, "grafana/gomuxd.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	var ids []int
	for _, p := range board.Panels {
		if slices.Contains(ids, p.ID) || len(p.Targets) == 0 || p.Targets[0].Expr == "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q: %+v", p.Title, p)
		}
		ids = append(ids, p.ID)
	}
}

// TestPromtool has Prometheus' own tool judge the rules, play their tests, and look
// at the names of the metrics.
func TestPromtool(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		cache, _ := os.UserCacheDir()
		tool = filepath.Join(cache, "gomuxd/prometheus/usr/bin/promtool")
		if _, err := os.Stat(tool); err != nil {
			t.Skip("no promtool: .ci/setup downloads it")
		}
	}
	for _, args := range [][]string{
		{"check", "rules", filepath.Join(packaging, "prometheus/gomuxd.rules.yml")},
		{"test", "rules", filepath.Join(packaging, "prometheus/gomuxd.rules.test.yml")},
		{"check", "metrics"},
	} {
		cmd := exec.Command(tool, args...)
		if args[1] == "metrics" {
			cmd.Stdin = strings.NewReader(scrape(t, farm{busy(1)}, `gomuxd_daemon_info`))
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
