package handlers

import (
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/registry-build/registry-build/handlers/forge"
)

// outcome is what became of a delivery.
type outcome string

const (
	outcomeAccepted  outcome = "accepted"
	outcomeDuplicate outcome = "duplicate" // all of it was accepted before
	outcomeIgnored   outcome = "ignored"   // genuine, and not wanted
	outcomeRefused   outcome = "refused"   // not genuine, not readable, too large: 4xx
	outcomeFailed    outcome = "failed"    // on our side: 5xx
)

// otherLabel stands for what is on no list of ours, so that nobody can make
// labels up.
const otherLabel = "other"

// typed is a forge that names the types of its deliveries.
type typed interface {
	// EventType returns the delivery's type, of a fixed list, else "other".
	// Nothing was verified yet.
	EventType(header http.Header) string
}

// metrics count the intake. Labels are bounded: never a repository.
type metrics struct {
	deliveries *prometheus.CounterVec
	duration   *prometheus.HistogramVec
}

// newMetrics registers the metrics; with a nil registry nobody reads them.
func newMetrics(registry *prometheus.Registry) *metrics {
	m := &metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "registry_build_deliveries_total",
			Help: "Webhook deliveries by forge, type of event and what became of them.",
		}, []string{"forge", "event", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "registry_build_delivery_duration_seconds",
			Help:    "Time from a delivery's headers to its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"forge"}),
	}
	if registry == nil {
		return m
	}
	m.deliveries = registered(registry, m.deliveries)
	m.duration = registered(registry, m.duration)
	return m
}

// registered returns the collector, or the one that was registered in its
// place: two servers may share a registry.
func registered[C prometheus.Collector](registry *prometheus.Registry, c C) C {
	var already prometheus.AlreadyRegisteredError
	if errors.As(registry.Register(c), &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	return c
}

func (m *metrics) delivered(r *http.Request, verifier forge.Verifier, o outcome, took time.Duration) {
	instance, event := otherLabel, otherLabel
	if verifier != nil {
		instance = r.PathValue("forge")
	}
	if t, ok := verifier.(typed); ok {
		event = t.EventType(r.Header)
	}
	m.count(instance, event, o, took)
}

func (m *metrics) count(instance, event string, o outcome, took time.Duration) {
	m.deliveries.WithLabelValues(instance, event, string(o)).Inc()
	m.duration.WithLabelValues(instance).Observe(took.Seconds())
}

// serveMetrics answers in Prometheus' format.
func (s *Server) serveMetrics() callerHandler {
	if s.Metrics == nil {
		return func(http.ResponseWriter, *http.Request, Caller) error {
			return refuse(http.StatusNotFound, "metrics are not kept here")
		}
	}
	h := promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{})
	return func(w http.ResponseWriter, r *http.Request, _ Caller) error {
		h.ServeHTTP(w, r)
		return nil
	}
}
