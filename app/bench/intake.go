package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/registry-build/registry-build/app/instance"
)

const (
	intakeConnections = 16
	intakeTurn        = 3 * time.Second // of one side, in each round
	intakeSecret      = "a secret of the benchmark's own"
	intakeP99         = 25 * time.Millisecond
)

// sender is a forge's way to send a push.
type sender struct {
	forge  string
	body   []byte
	proved http.Header               // what all deliveries have
	number func(http.Header, string) // makes one delivery of its own
}

// measureIntake measures how fast proved webhooks are accepted: checked,
// de-duplicated and on disk, against the least that anybody could do. The
// forges' APIs are away meanwhile, so that nothing but acceptance is measured.
func measureIntake(ctx context.Context, in *installation, rounds int) (rows []row, err error) {
	settings := githubSettings(awayFromHere, awayFromHere) +
		fmt.Sprintf("  gitlab:\n    - {name: gitlab, url: %q, token: glpat-0, secrets: [%q]}\n", awayFromHere, intakeSecret)
	ours, err := in.beside(ctx, "intake", settings)
	if err != nil {
		return nil, err
	}
	defer func() { err = joinStop(err, ours) }()
	other, err := startBare(ctx, in.path("bare"))
	if err != nil {
		return nil, err
	}
	defer other.stop()

	for _, s := range []struct {
		sender
		row, p99 row
	}{
		{fromGitHub(), row{name: "webhook_vs_bare", least: 0.7, note: "time for each accepted webhook"},
			row{name: "webhook_p99_ms", most: intakeP99, note: "the slowest hundredth of them, at most 25 ms"}},
		{fromGitLab(), row{name: "gitlab_webhook_vs_bare", least: 0.7, note: "the same for GitLab's"}, row{}},
	} {
		fmt.Printf("intake: push webhooks of %s of %d bytes over %d connections\n", s.forge, len(s.body), intakeConnections)
		for round := range rounds + 1 {
			var a, b load
			err := takeTurns(round,
				func() (err error) { a, err = deliver(ctx, ours.URL+"/hooks/"+s.forge, s.sender); return err },
				func() (err error) { b, err = deliver(ctx, other.url, s.sender); return err })
			if err != nil {
				return nil, err
			}
			fmt.Printf("  round %d: ours %.0f/s p99 %s  bare %.0f/s p99 %s%s\n", round, a.rate(), milliseconds(a.p99), b.rate(), milliseconds(b.p99), warmUp(round))
			if round > 0 {
				s.row.add(0, a.each(), b.each())
				s.p99.add(0, a.p99, b.p99)
			}
		}
		rows = append(rows, s.row)
		if s.p99.name != "" {
			rows = append(rows, s.p99)
		}
	}
	return rows, nil
}

// awayFromHere is an address where nobody answers.
const awayFromHere = "http://127.0.0.1:9"

// githubSettings are those of a server file with an app.
func githubSettings(api, web string) string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // never: crypto/rand
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return fmt.Sprintf("forges:\n  github:\n    api: %s\n    url: %s\n    app: 1\n    secrets: [%q]\n    key: %q\n", api, web, intakeSecret, text)
}

// beside starts another `up` of the same program in a folder of its own.
func (in *installation) beside(ctx context.Context, name, settings string) (*instance.Instance, error) {
	dir := in.path(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return instance.Start(ctx, instance.Options{Program: in.program, Dir: dir, Settings: settings, Env: in.env})
}

func joinStop(err error, in *instance.Instance) error {
	if stopped := in.Stop(); err == nil {
		return stopped
	}
	return err
}

// load is what one side took in one turn.
type load struct {
	count int
	took  time.Duration
	p99   time.Duration
}

func (l load) rate() float64       { return float64(l.count) / l.took.Seconds() }
func (l load) each() time.Duration { return l.took / time.Duration(max(l.count, 1)) }

// deliver sends as many webhooks as are accepted in a turn, each its own
// delivery.
func deliver(ctx context.Context, address string, s sender) (load, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: intakeConnections}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	began := time.Now()
	var mu sync.Mutex
	var all []time.Duration
	g, ctx := errgroup.WithContext(ctx)
	for c := range intakeConnections {
		g.Go(func() error {
			var own []time.Duration
			for n := 0; time.Since(began) < intakeTurn; n++ {
				sent := time.Now()
				if err := s.post(ctx, client, address, fmt.Sprintf("%d-%d-%d", began.UnixNano(), c, n)); err != nil {
					return err
				}
				own = append(own, time.Since(sent))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
			return nil
		})
	}
	err := g.Wait()
	l := load{count: len(all), took: time.Since(began)}
	if len(all) > 0 {
		slices.Sort(all)
		l.p99 = all[len(all)*99/100]
	}
	return l, err
}

func (s sender) post(ctx context.Context, client *http.Client, address, delivery string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(s.body))
	if err != nil {
		return err
	}
	req.Header = s.proved.Clone()
	s.number(req.Header, delivery)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("%s answered %s: %s", address, resp.Status, answer)
	}
	return err
}
