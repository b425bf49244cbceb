package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
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

// measureIntake measures how fast signed webhooks are accepted: checked,
// de-duplicated and on disk, against the least that anybody could do. GitHub's
// API is away meanwhile, so that nothing but acceptance is measured.
func measureIntake(ctx context.Context, in *installation, rounds int) (rows []row, err error) {
	ours, err := in.beside(ctx, "intake", githubSettings(awayFromHere, awayFromHere))
	if err != nil {
		return nil, err
	}
	defer func() { err = joinStop(err, ours) }()
	other, err := startBare(ctx, in.path("bare"))
	if err != nil {
		return nil, err
	}
	defer other.stop()

	body := pushPayload()
	fmt.Printf("intake: signed push webhooks of %d bytes over %d connections\n", len(body), intakeConnections)
	accepted := row{name: "webhook_vs_bare", least: 0.7, note: "time for each accepted webhook"}
	slowest := row{name: "webhook_p99_ms", most: intakeP99, note: "the slowest hundredth of them, at most 25 ms"}
	for round := range rounds + 1 {
		var a, b load
		err := takeTurns(round,
			func() (err error) { a, err = deliver(ctx, ours.URL+"/hooks/github", body); return err },
			func() (err error) { b, err = deliver(ctx, other.url, body); return err })
		if err != nil {
			return nil, err
		}
		fmt.Printf("  round %d: ours %.0f/s p99 %s  bare %.0f/s p99 %s%s\n", round, a.rate(), milliseconds(a.p99), b.rate(), milliseconds(b.p99), warmUp(round))
		if round > 0 {
			accepted.add(0, a.each(), b.each())
			slowest.add(0, a.p99, b.p99)
		}
	}
	return []row{accepted, slowest}, nil
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
func deliver(ctx context.Context, address string, body []byte) (load, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: intakeConnections}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	signature := sign(body)
	began := time.Now()
	var mu sync.Mutex
	var all []time.Duration
	g, ctx := errgroup.WithContext(ctx)
	for c := range intakeConnections {
		g.Go(func() error {
			var own []time.Duration
			for n := 0; time.Since(began) < intakeTurn; n++ {
				sent := time.Now()
				if err := post(ctx, client, address, body, signature, fmt.Sprintf("%d-%d-%d", began.UnixNano(), c, n)); err != nil {
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

func sign(body []byte) string {
	mac := hmac.New(sha256.New, []byte(intakeSecret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func post(ctx context.Context, client *http.Client, address string, body []byte, signature, delivery string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", delivery)
	req.Header.Set("X-Hub-Signature-256", signature)
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

// pushPayload is a push of one commit as GitHub sends it, which is mostly
// addresses: about 7 kB.
func pushPayload() []byte {
	const commit = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
	repository := `"id":1296269,"node_id":"MDEwOlJlcG9zaXRvcnkxMjk2MjY5","name":"shop","full_name":"acme/shop","private":true,` +
		`"owner":{"name":"acme","email":null,"login":"acme","id":6752317,"node_id":"MDQ6VXNlcjY3NTIzMTc=","type":"Organization","site_admin":false},` +
		`"html_url":"https://github.com/acme/shop","description":"a shop","fork":false,"default_branch":"main"`
	for i := range 60 {
		repository += fmt.Sprintf(`,"address_%d_url":"https://api.github.com/repos/acme/shop/something/%d{/more}"`, i, i)
	}
	one := fmt.Sprintf(`{"id":%q,"tree_id":"f9d2a07e9488b91af2641b26b9407fe22a451433","distinct":true,"message":"Update README.md","timestamp":"2026-11-21T15:20:30Z",`+
		`"url":"https://github.com/acme/shop/commit/%s","author":{"name":"Ada","email":"ada@example.com","username":"ada"},`+
		`"committer":{"name":"Ada","email":"ada@example.com","username":"ada"},"added":[],"removed":[],"modified":["README.md"]}`, commit, commit)
	return fmt.Appendf(nil, `{"ref":"refs/heads/main","before":"0000000000000000000000000000000000000000","after":%q,"created":false,"deleted":false,"forced":false,`+
		`"base_ref":null,"compare":"https://github.com/acme/shop/compare/main","commits":[%s],"head_commit":%s,"repository":{%s},`+
		`"pusher":{"name":"ada","email":"ada@example.com"},"sender":{"login":"ada","id":21031067,"type":"User","site_admin":false},"installation":{"id":5,"node_id":"MDM"}}`,
		commit, one, one, repository)
}
