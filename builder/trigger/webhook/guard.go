package webhook

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Refused is an address that the operator does not let webhooks reach. It is
// final: another attempt would meet the same rule.
type Refused struct {
	Host    string
	Address netip.Addr
	Why     string // "a private address"
	Setting string // what the operator may write
}

func (r *Refused) Error() string {
	where := r.Host
	if r.Host != r.Address.String() {
		where = fmt.Sprintf("%s (%s)", r.Host, r.Address)
	}
	return fmt.Sprintf("%s is %s, and webhooks may not reach it; the operator can allow it in the server file with %s", where, r.Why, r.Setting)
}

// guard decides at dial time, on the address that is really dialled: a name
// that resolves differently a second time gains nothing.
type guard struct {
	private bool           // Options.AllowPrivate
	hosts   []string       // lower-case; "*.example.com" stands for every name below
	nets    []netip.Prefix // addresses that are allowed whatever they are
}

func newGuard(o Options) (*guard, error) {
	g := &guard{private: o.AllowPrivate}
	for _, entry := range o.AllowHosts {
		switch prefix, addr := parseAddresses(entry); {
		case prefix.IsValid():
			g.nets = append(g.nets, prefix)
		case addr.IsValid():
			g.nets = append(g.nets, netip.PrefixFrom(addr, addr.BitLen()))
		case entry == "" || strings.ContainsAny(entry, "/:@ ") || strings.Contains(strings.TrimPrefix(entry, "*."), "*"):
			return nil, fmt.Errorf("triggers.allowHosts: %q is neither a host name (hooks.example.com, *.example.com) nor an address or network (10.1.2.3, 10.0.0.0/8)", entry)
		default:
			g.hosts = append(g.hosts, strings.ToLower(entry))
		}
	}
	return g, nil
}

func parseAddresses(s string) (netip.Prefix, netip.Addr) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), netip.Addr{}
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return netip.Prefix{}, a.Unmap()
	}
	return netip.Prefix{}, netip.Addr{}
}

// hostAllowed reports whether the operator named this host: then it may be at
// any address and port.
func (g *guard) hostAllowed(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.ContainsFunc(g.hosts, func(h string) bool {
		if below, ok := strings.CutPrefix(h, "*"); ok {
			return strings.HasSuffix(host, below) && len(host) > len(below)
		}
		return h == host
	})
}

// dial is an http.Transport's DialContext.
func (g *guard) dial(resolver *net.Resolver) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		d := net.Dialer{Timeout: 5 * time.Second, Resolver: resolver}
		if !g.hostAllowed(host) {
			d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
				return g.check(host, address)
			}
		}
		return d.DialContext(ctx, network, addr)
	}
}

// check says whether the address, as the kernel will see it, may be dialled
// for the host.
func (g *guard) check(host, address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("dial %s: %w", host, err)
	}
	addr := ap.Addr().Unmap().WithZone("")
	if slices.ContainsFunc(g.nets, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return nil
	}
	setting := fmt.Sprintf("triggers.allowHosts: [%q]", host)
	why, private := classify(addr)
	switch {
	case why == "" || private && g.private:
		if !portAllowed(ap.Port()) {
			return &Refused{Host: host, Address: addr, Setting: setting, Why: fmt.Sprintf("asked on port %d, where no web server should be", ap.Port())}
		}
		return nil
	case private:
		setting += " or triggers.allowPrivate: true"
	}
	return &Refused{Host: host, Address: addr, Why: why, Setting: setting}
}

// portAllowed keeps webhooks from speaking to mail servers and the like:
// below 1024 only the web's own ports.
func portAllowed(port uint16) bool { return port == 80 || port == 443 || port >= 1024 }
