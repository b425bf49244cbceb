package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

const dialTimeout = 5 * time.Second

// Options are the operator's.
type Options struct {
	// AllowPrivate opens the private, shared, link-local and loopback
	// addresses; AllowHosts opens single hosts, addresses and networks,
	// whatever they are: triggers.allowPrivate and triggers.allowHosts of the
	// server file.
	AllowPrivate bool
	AllowHosts   []string
	RootCAs      *x509.CertPool // nil: the machine's
	Resolver     *net.Resolver  // nil: the machine's
}

// Refused is an address that the operator does not let triggers reach. It is
// final: another attempt would meet the same rule.
type Refused struct {
	Host    string
	Address netip.Addr // the zero one where the host was not even looked up
	Why     string     // "a private address"
	Setting string     // what the operator may write; "" where nothing opens it
}

func (r *Refused) Error() string {
	where := r.Host
	if r.Address.IsValid() && r.Host != r.Address.String() {
		where = fmt.Sprintf("%s (%s)", r.Host, r.Address)
	}
	if r.Setting == "" {
		return fmt.Sprintf("%s is %s", where, r.Why)
	}
	return fmt.Sprintf("%s is %s, and triggers may not reach it; the operator can allow it in the server file with %s", where, r.Why, r.Setting)
}

// Guard decides at dial time, on the address that is really dialled: a name
// that resolves differently a second time gains nothing. Its rules never
// change; new ones are a new Guard, with connections of its own.
type Guard struct {
	private  bool           // Options.AllowPrivate
	hosts    []string       // lower-case; "*.example.com" stands for every name below
	nets     []netip.Prefix // addresses that are allowed whatever they are
	roots    *x509.CertPool
	resolver *net.Resolver
	client   *http.Client
}

// New checks the options; an entry of AllowHosts that cannot be understood is
// one clear sentence.
func New(o Options) (*Guard, error) {
	g := &Guard{private: o.AllowPrivate, roots: o.RootCAs, resolver: o.Resolver}
	for _, entry := range o.AllowHosts {
		switch prefix, addr := parseAddresses(entry); {
		case prefix.IsValid():
			g.nets = append(g.nets, prefix)
		case addr.IsValid():
			g.nets = append(g.nets, netip.PrefixFrom(addr, addr.BitLen()))
		case entry == "" || strings.ContainsAny(entry, "/:@ ") || strings.Contains(strings.TrimPrefix(entry, "*."), "*"):
			return nil, fmt.Errorf("triggers.allowHosts: %q is neither a host name (hooks.example.com, *.example.com) nor an address or network (10.1.2.3, 10.0.0.0/8)", entry)
		case oddNumber(entry):
			return nil, fmt.Errorf("triggers.allowHosts: %q is no host name; write an address as four decimal numbers (10.1.2.3)", entry)
		default:
			g.hosts = append(g.hosts, strings.ToLower(entry))
		}
	}
	g.client = g.newClient()
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
func (g *Guard) hostAllowed(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.ContainsFunc(g.hosts, func(h string) bool {
		if below, ok := strings.CutPrefix(h, "*"); ok {
			return strings.HasSuffix(host, below) && len(host) > len(below)
		}
		return h == host
	})
}

// TLS is what a connection to the host must be wrapped in.
func (g *Guard) TLS(host string) *tls.Config {
	return &tls.Config{ServerName: host, RootCAs: g.roots, MinVersion: tls.VersionTLS12}
}

// Dial connects to host:port over TCP, if the guard lets it: an error that
// wraps *Refused otherwise. Below 1024 only the web's ports are open, and
// those that the caller's own protocol has.
func (g *Guard) Dial(ctx context.Context, network, addr string, ports ...uint16) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, fmt.Errorf("dial %s: triggers speak over TCP only", network)
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if oddNumber(host) {
		return nil, &Refused{Host: host, Why: "neither a host name nor an address as it is written; write four decimal numbers with dots, or the name"}
	}
	d := net.Dialer{Timeout: dialTimeout, Resolver: g.resolver}
	if !g.hostAllowed(host) {
		d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return g.check(host, address, ports)
		}
	}
	return d.DialContext(ctx, network, addr)
}

// oddNumber reports whether the host is an IPv4 address in a spelling that
// some resolvers understand and others look up as a name (2130706433, 0x7f.1,
// 0177.0.0.1, 127.0.0.1.): what one part of a program takes for harmless,
// another dials. The rule is that of the WHATWG's URL standard ("ends in a
// number"): no name on the internet ends so.
func oddNumber(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	last := strings.TrimSuffix(host, ".")
	last = strings.ToLower(last[strings.LastIndexByte(last, '.')+1:])
	digits := "0123456789"
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		last, digits = "0"+hex, "0123456789abcdef"
	}
	return last != "" && strings.Trim(last, digits) == ""
}

// check says whether the address, as the kernel will see it, may be dialled
// for the host.
func (g *Guard) check(host, address string, ports []uint16) error {
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
		if !portAllowed(ap.Port()) && !slices.Contains(ports, ap.Port()) {
			return &Refused{Host: host, Address: addr, Setting: setting, Why: fmt.Sprintf("asked on port %d, where nothing is that a trigger speaks to", ap.Port())}
		}
		return nil
	case private:
		setting += " or triggers.allowPrivate: true"
	}
	return &Refused{Host: host, Address: addr, Why: why, Setting: setting}
}

// portAllowed keeps web requests from speaking to mail servers and the like:
// below 1024 only the web's own ports.
func portAllowed(port uint16) bool { return port == 80 || port == 443 || port >= 1024 }
