package buildkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder/buildkit/buildkittest"
	"github.com/registry-build/registry-build/config"
)

// authority signs certificates in a folder of the test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.issue("ca")
	return a
}

// issue writes NAME.pem and NAME.key, signed by the authority, or by itself
// where there is none yet.
func (a *authority) issue(name string) (cert, key string) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: a.cert == nil, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if a.cert == nil {
		a.cert, a.key, template.ExtKeyUsage = template, private, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, key = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return cert, key
}

// A daemon behind tcp:// wants our certificate, and we want its authority's.
func TestTLS(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	ca, otherCA := filepath.Join(ours.dir, "ca.pem"), filepath.Join(others.dir, "ca.pem")
	cert, key := ours.issue("server")
	client, clientKey := ours.issue("client")
	stranger, strangerKey := others.issue("client")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "tcp://" + l.Addr().String()
	l.Close()
	d, err := buildkittest.Start(buildkittest.Options{Args: []string{"--addr", address, "--tlscacert", ca, "--tlscert", cert, "--tlskey", key}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, test := range []struct {
		name string
		tls  config.TLS
		ok   bool
	}{
		{"the certificate of its authority", config.TLS{CA: ca, Cert: client, Key: clientKey}, true},
		{"no certificate", config.TLS{CA: ca}, false},
		{"a stranger's certificate", config.TLS{CA: ca, Cert: stranger, Key: strangerKey}, false},
		{"another authority", config.TLS{CA: otherCA, Cert: client, Key: clientKey}, false},
		{"another server's name", config.TLS{CA: ca, Cert: client, Key: clientKey, ServerName: "other.example.com"}, false},
		{"no TLS", config.TLS{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := New(t.Context(), Options{Address: address, TLS: test.tls})
			if err == nil {
				defer s.Close()
				err = s.Ping(t.Context())
			}
			if (err == nil) != test.ok {
				t.Errorf("Ping: %v; want it to work: %t", err, test.ok)
			}
		})
	}
}
