package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/registry-build/registry-build/builder/trigger/guard"
)

const (
	egressDial = 10 * time.Second
	egressIdle = 5 * time.Minute // a tunnel in which nothing moves
)

// egress is the only way out of a fork builder's network: an HTTP proxy that
// connects to the internet and to nothing inside. It decides by the address
// that is really dialled, so it does not matter what a registry's name
// resolves to, nor where it sends the daemon on to.
type egress struct {
	mirrors []string // host:port that the operator has the daemon ask, wherever they are
	log     *slog.Logger
	dialer  net.Dialer
}

func newEgress(mirrors []string, log *slog.Logger) *egress {
	e := &egress{log: log, dialer: net.Dialer{Timeout: egressDial}}
	for _, m := range mirrors {
		e.mirrors = append(e.mirrors, withPorts(m)...)
	}
	return e
}

// withPorts are the addresses under which a registry host is asked.
func withPorts(host string) []string {
	host, _, _ = strings.Cut(host, "/") // a mirror may have a path
	if _, _, err := net.SplitHostPort(host); err == nil {
		return []string{host}
	}
	host = strings.Trim(host, "[]")
	return []string{net.JoinHostPort(host, "443"), net.JoinHostPort(host, "80")}
}

// local are the mirrors on this machine's loopback: in a network of its own
// the daemon means its own.
func (e *egress) local() []string {
	return slices.DeleteFunc(slices.Clone(e.mirrors), func(m string) bool {
		host, _, _ := net.SplitHostPort(m)
		ip, err := netip.ParseAddr(host)
		return host != "localhost" && (err != nil || !ip.IsLoopback())
	})
}

// open makes the way out, for who is started by the calling thread: a proxy,
// and the mirrors on the loopback. env tells a program of it. leave closes
// all.
func (e *egress) open() (env []string, leave func(), err error) {
	if err := leaveNetwork(); err != nil {
		return nil, nil, err
	}
	var open closers
	for _, mirror := range e.local() {
		l, err := net.Listen("tcp", mirror)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue // localhost and 127.0.0.1
		}
		if err != nil {
			open.close()
			return nil, nil, fmt.Errorf("stand in for the mirror %s: %w", mirror, err)
		}
		open = append(open, l)
		go e.forward(l, mirror)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		open.close()
		return nil, nil, fmt.Errorf("make a proxy: %w", err)
	}
	server := &http.Server{Handler: e, ReadHeaderTimeout: egressDial, ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelDebug)}
	go server.Serve(l)
	open = append(open, server)
	proxy := "http://" + l.Addr().String()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		env = append(env, name+"="+proxy)
	}
	// What our own environment says is not for the daemon.
	return append(env, "NO_PROXY=", "no_proxy=", "ALL_PROXY=", "all_proxy="), open.close, nil
}

type closers []io.Closer

func (c closers) close() {
	for _, one := range c {
		one.Close()
	}
}

// ServeHTTP implements http.Handler: CONNECT for TLS, whole addresses for the
// rest.
func (e *egress) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		e.tunnel(w, r)
		return
	}
	if r.URL.Scheme != "http" || r.URL.Host == "" {
		http.Error(w, "this is a proxy", http.StatusBadRequest)
		return
	}
	proxy := httputil.ReverseProxy{
		Rewrite:   func(*httputil.ProxyRequest) {}, // as it came
		Transport: &http.Transport{DialContext: e.dial, DisableKeepAlives: true, DisableCompression: true},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			http.Error(w, err.Error(), e.refusal(r.URL.Host, err))
		},
	}
	proxy.ServeHTTP(w, r)
}

func (e *egress) tunnel(w http.ResponseWriter, r *http.Request) {
	there, refused := e.dial(r.Context(), "tcp", r.Host)
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		if refused == nil {
			there.Close()
		}
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if refused != nil {
		// Of a proxy's refusal the daemon passes on the status line alone.
		defer here.Close()
		fmt.Fprintf(here, "HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", e.refusal(r.Host, refused), oneLine(refused))
		return
	}
	io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	splice(here, there, buffered.Reader)
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// refusal is the status for who did not get out.
func (e *egress) refusal(host string, err error) int {
	e.log.Info("a fork's build did not get out", "host", host, "err", err)
	if errors.As(err, new(*notOutside)) {
		return http.StatusForbidden
	}
	return http.StatusBadGateway
}

// notOutside is an address that is no builder of a fork's to reach.
type notOutside struct{ host, why string }

func (n *notOutside) Error() string {
	return fmt.Sprintf("%s is %s, which a fork's build may not reach", n.host, n.why)
}

func (e *egress) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := e.dialer
	if !slices.Contains(e.mirrors, address) {
		d.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			return outside(host, resolved)
		}
	}
	return d.DialContext(ctx, network, address)
}

// outside judges an address as the kernel will see it. Registries are where
// the web is, or on a port of their own.
func outside(host, resolved string) error {
	at, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return err
	}
	if why := guard.Special(at.Addr()); why != "" {
		return &notOutside{host, why}
	}
	if p := at.Port(); p != 80 && p != 443 && p < 1024 {
		return &notOutside{host, "asked on port " + strconv.Itoa(int(p))}
	}
	return nil
}

// forward hands on what comes to a mirror's stand-in.
func (e *egress) forward(l net.Listener, mirror string) {
	for {
		here, err := l.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			there, err := e.dialer.Dial("tcp", mirror)
			if err != nil {
				e.log.Warn("mirror", "host", mirror, "err", err)
				here.Close()
				return
			}
			splice(here, there, here)
		}()
	}
}

// splice carries bytes both ways until both have ended, or nothing moves any
// more. first is where here is read from.
func splice(here, there net.Conn, first io.Reader) {
	defer here.Close()
	defer there.Close()
	idle := time.AfterFunc(egressIdle, func() { here.Close(); there.Close() })
	defer idle.Stop()
	var both sync.WaitGroup
	carry := func(to net.Conn, from io.Reader) {
		io.Copy(to, awake{from, idle})
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
	}
	both.Go(func() { carry(there, first) })
	both.Go(func() { carry(here, there) })
	both.Wait()
}

// awake puts the end off as long as something is read.
type awake struct {
	io.Reader
	idle *time.Timer
}

func (a awake) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if n > 0 {
		a.idle.Reset(egressIdle)
	}
	return n, err
}
