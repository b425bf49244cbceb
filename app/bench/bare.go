package main

import (
	"context"
	"crypto/hmac"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// bare is the other side of the intake: a Go program that checks a webhook's
// signature and adds it to a Redis stream, and nothing else. Its Redis is set
// up like ours: on a unix socket, every write on disk before it is answered.
type bare struct {
	url      string
	children []*exec.Cmd
}

// bareFlag makes this program the bare handler, in a process of its own like
// ours.
const bareFlag = "-bare"

func startBare(ctx context.Context, dir string) (_ *bare, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	b := &bare{}
	defer func() {
		if err != nil {
			b.stop()
		}
	}()
	socket := filepath.Join(dir, "redis.sock")
	if err := b.run("redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir,
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction"); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := b.run(self, bareFlag, dir); err != nil {
		return nil, err
	}
	ctx, done := context.WithTimeout(ctx, 30*time.Second)
	defer done()
	for {
		if address, ok := addressIn(dir); ok {
			b.url = "http://" + address + "/"
			return b, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the bare handler gave no address: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// addressIn is where the handler's process says that it listens, once it has
// written the whole line.
func addressIn(dir string) (string, bool) {
	text, err := os.ReadFile(filepath.Join(dir, "address"))
	address, whole := strings.CutSuffix(string(text), "\n")
	return address, err == nil && whole
}

func (b *bare) run(program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	b.children = append(b.children, cmd)
	return nil
}

func (b *bare) stop() {
	for _, c := range b.children {
		c.Process.Kill()
		c.Wait()
	}
}

// serveBare is the handler's process.
func serveBare(dir string) error {
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: filepath.Join(dir, "redis.sock"), PoolSize: intakeConnections})
	defer client.Close()
	ctx, done := context.WithTimeout(context.Background(), 20*time.Second)
	defer done()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for client.Ping(ctx).Err() != nil {
		select {
		case <-ctx.Done():
			return errors.New("redis-server does not answer")
		case <-tick.C:
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "address"), []byte(l.Addr().String()+"\n"), 0o600); err != nil {
		return err
	}
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 25<<20))
		if err != nil || !proved(r.Header, body) {
			http.Error(w, "signature", http.StatusUnauthorized)
			return
		}
		if err := client.XAdd(r.Context(), &redis.XAddArgs{Stream: "events", Values: []any{"body", body}}).Err(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
}

// proved checks a signature, or the secret where one is sent as it is.
func proved(header http.Header, body []byte) bool {
	if secret := header.Get("X-Gitlab-Token"); secret != "" {
		return subtle.ConstantTimeCompare([]byte(secret), []byte(intakeSecret)) == 1
	}
	return hmac.Equal([]byte(sign(body)), []byte(header.Get("X-Hub-Signature-256")))
}
