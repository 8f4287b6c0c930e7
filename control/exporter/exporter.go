// Package exporter gives what an observer.Observer knows to Prometheus.
//
// All metrics of a phone have the label phone: its UDID, or the port of one whose
// UDID is not known. Names, models and ports are in gomuxd_phone_info alone, to be
// joined, so that a phone that is renamed or moved stays one series. Counters start
// with zero at each plug, as those of a process do at its start. A hundred phones
// are some 3,200 series, half of them of histograms.
package exporter

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gomuxd/control"
	"gomuxd/control/observer"
)

const phone = "phone" // the label of all that is of one

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("gomuxd_"+name, help, labels, nil)
}

var (
	up      = desc("up", "Whether the daemon answers; without it there is nothing else.")
	info    = desc("daemon_info", "The daemon's version and what it asks of phones.", "version", "trust_policy")
	started = desc("daemon_start_time_seconds", "When the daemon was started, since 1970.")
	phones  = desc("phones", "Phones that are plugged in, by who has to do something.", "standing")

	phoneInfo  = desc("phone_info", "What a phone is called and where it is.", phone, "name", "product", "version", "port")
	trustState = desc("phone_trust_state", "1 for the state that a phone is in, see muxctl explain.", phone, "state")
	needs      = desc("phone_needs_action", "Whether somebody has to do something, at the phone or at the computer.", phone)
	since      = desc("phone_state_timestamp_seconds", "Since when a phone is in its state, since 1970.", phone)
	plugged    = desc("phone_plugged_in_timestamp_seconds", "When a phone was plugged in, since 1970.", phone)
	lastByte   = desc("phone_last_byte_timestamp_seconds", "When anything came from a phone, since 1970.", phone)
	remaining  = desc("phone_trust_remaining_seconds", "Time until a phone forgets this computer if it is not used, an estimate.", phone)

	sessions   = desc("phone_sessions", "Open connections of clients to a phone.", phone)
	received   = desc("phone_received_bytes_total", "Bytes from a phone to clients.", phone)
	sent       = desc("phone_sent_bytes_total", "Bytes from clients to a phone.", phone)
	connects   = desc("phone_connects_total", "Connections that a phone has accepted.", phone)
	refused    = desc("phone_connects_refused_total", "Connections to ports on which nothing listens.", phone)
	unanswered = desc("phone_connects_unanswered_total", "Connections to which a phone was silent.", phone)
	resets     = desc("phone_resets_total", "Open connections that were reset, and by whom.", phone, "by")
	recoveries = desc("phone_recoveries_total", "How often a phone was opened anew or reset over USB.", phone)
	latency    = desc("phone_connect_duration_seconds", "Time from the request for a connection to a phone's yes.", phone)
)

var all = []*prometheus.Desc{up, info, started, phones, phoneInfo, trustState, needs, since, plugged, lastByte, remaining,
	sessions, received, sent, connects, refused, unanswered, resets, recoveries, latency}

// collector reads the counters anew for each scrape.
type collector struct{ o *observer.Observer }

// Handler serves /metrics.
func Handler(o *observer.Observer) http.Handler {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collector{o})
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range all {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	err := c.o.Sample(context.Background()) // has a limit of its own
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	daemon, devices := c.o.Devices()
	if err != nil || !daemon.Connected {
		gauge(up, 0)
		return
	}
	gauge(up, 1)
	if daemon.Version != "" { // it has introduced itself
		gauge(info, 1, daemon.Version, daemon.Policy)
		gauge(started, seconds(daemon.Started))
	}
	count := map[observer.Standing]int{observer.Ready: 0, observer.Pending: 0, observer.Person: 0, observer.Fault: 0}
	told := make(map[string]bool)
	for _, d := range devices {
		standing := observer.StandingOf(d.Trust)
		count[standing]++
		id := d.PortPath
		if d.UDID != nil {
			id = *d.UDID
		}
		if told[id] {
			continue // the same phone by another way
		}
		told[id] = true
		gauge(phoneInfo, 1, id, observer.TitleOf(d), d.Product, d.Version, d.PortPath)
		gauge(trustState, 1, id, d.Trust)
		gauge(needs, boolean(standing.Needs()), id)
		if !d.Since.IsZero() {
			gauge(since, seconds(d.Since), id)
		}
		if !d.PluggedIn.IsZero() {
			gauge(plugged, seconds(d.PluggedIn), id)
		}
		if d.LastByte != nil {
			gauge(lastByte, seconds(*d.LastByte), id)
		}
		if d.ExpiresInDays != nil {
			gauge(remaining, float64(*d.ExpiresInDays)*24*60*60, id)
		}
		if d.DeviceID != nil { // it can be connected to
			collect(ch, id, d.Counters)
		}
	}
	for standing, n := range count {
		gauge(phones, float64(n), string(standing))
	}
}

// collect gives a phone's counters.
func collect(ch chan<- prometheus.Metric, id string, c control.Counters) {
	ch <- prometheus.MustNewConstMetric(sessions, prometheus.GaugeValue, float64(c.Sessions), id)
	for d, n := range map[*prometheus.Desc]uint64{
		received: c.BytesIn, sent: c.BytesOut, connects: c.Connects, refused: c.Refused, unanswered: c.Unanswered, recoveries: c.Recoveries,
	} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), id)
	}
	ch <- prometheus.MustNewConstMetric(resets, prometheus.CounterValue, float64(c.ResetsByPhone), id, "phone")
	ch <- prometheus.MustNewConstMetric(resets, prometheus.CounterValue, float64(c.ResetsByHost), id, "host")
	if len(c.ConnectLatency.Counts) != len(c.ConnectLatency.LE)+1 {
		return // none of this version
	}
	buckets, sum := make(map[float64]uint64), uint64(0)
	for i, le := range c.ConnectLatency.LE {
		sum += c.ConnectLatency.Counts[i]
		buckets[le] = sum
	}
	sum += c.ConnectLatency.Counts[len(c.ConnectLatency.LE)]
	ch <- prometheus.MustNewConstHistogram(latency, sum, c.ConnectLatency.Sum, buckets, id)
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
