package credential

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/registry-build/registry-build/config"
)

// tokenPrefix lets people and secret scanners recognise a token of ours.
const tokenPrefix = "rb_"

// hashPrefix names the hash in the server file.
const hashPrefix = "sha256:"

// ErrToken is Check's answer to a token that is unknown, revoked or out of
// time; which of them is nobody's business.
var ErrToken = errors.New("the access token is unknown or has ended")

// Tokens is the authority over access tokens: static ones of the server file,
// of which only hashes are known, and minted ones that live in memory as long
// as one attempt of a build. All methods may be called concurrently.
//
// A hash without salt and stretching is right here, and wrong for passwords:
// a token has 256 random bits, so there is nothing to guess or to tabulate.
// It is also why a map is safe where secrets are compared: how long the
// look-up takes depends on the hash, which tells nothing about the token.
type Tokens struct {
	mu     sync.RWMutex
	static map[[sha256.Size]byte]*Identity
	minted map[[sha256.Size]byte]mintedToken
}

type mintedToken struct {
	identity *Identity
	ends     time.Time
}

// NewTokens takes the server file's tokens; a wrong one is one clear sentence.
func NewTokens(static []config.Token) (*Tokens, error) {
	t := &Tokens{minted: map[[sha256.Size]byte]mintedToken{}}
	return t, t.SetStatic(static)
}

// SetStatic replaces the static tokens, when the server file is read again.
// On an error the old ones stay.
func (t *Tokens) SetStatic(static []config.Token) error {
	next := make(map[[sha256.Size]byte]*Identity, len(static))
	for _, c := range static {
		sum, err := parseHash(c.Hash)
		if err != nil {
			return fmt.Errorf("token %s: %w", c.Name, err)
		}
		if other, ok := next[sum]; ok {
			return fmt.Errorf("token %s: its hash is that of token %s", c.Name, other.Name)
		}
		id, err := staticIdentity(c)
		if err != nil {
			return fmt.Errorf("token %s: %w", c.Name, err)
		}
		next[sum] = id
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.static = next
	return nil
}

// Check says whose token it is; ErrToken when nobody's.
func (t *Tokens) Check(token string) (*Identity, error) {
	if token == "" {
		return nil, ErrToken
	}
	sum := sha256.Sum256([]byte(token))
	t.mu.RLock()
	defer t.mu.RUnlock()
	if id, ok := t.static[sum]; ok {
		return id, nil
	}
	if m, ok := t.minted[sum]; ok && time.Now().Before(m.ends) {
		return m.identity, nil
	}
	return nil, ErrToken
}

// Mint makes a token with these rights that ends after ttl or when revoke is
// called, which may be done more than once. It does not outlive the process.
func (t *Tokens) Mint(name string, grants []Grant, ttl time.Duration) (token string, revoke func()) {
	token, _ = GenerateToken()
	sum := sha256.Sum256([]byte(token))
	m := mintedToken{&Identity{Name: name, rights: rights(grants)}, time.Now().Add(ttl)}
	t.mu.Lock()
	defer t.mu.Unlock()
	for old, o := range t.minted { // those whose owner never came back
		if !time.Now().Before(o.ends) {
			delete(t.minted, old)
		}
	}
	t.minted[sum] = m
	return token, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.minted, sum)
	}
}

// GenerateToken makes a token of 256 random bits and the hash to write into
// the server file.
func GenerateToken() (token, hash string) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return token, HashToken(token)
}

// HashToken is the form of a token in the server file: "sha256:" and the
// SHA-256 of the whole token in hexadecimal digits.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hashPrefix + hex.EncodeToString(sum[:])
}

func parseHash(s string) (sum [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(strings.TrimPrefix(s, hashPrefix))
	if !strings.HasPrefix(s, hashPrefix) || err != nil || copy(sum[:], b) != sha256.Size || len(b) != sha256.Size {
		return sum, errors.New(`the hash must be "sha256:" and 64 hexadecimal digits; registry-build token prints a new token with its hash`)
	}
	if sum == sha256.Sum256(nil) {
		return sum, errors.New("the hash is that of an empty token")
	}
	return sum, nil
}

// LoadOrCreateToken reads the token in the file, or makes one and writes it
// there, mode 0600, readable by nobody else. created tells which.
func LoadOrCreateToken(path string) (token string, created bool, err error) {
	token, err = loadToken(path)
	if !errors.Is(err, os.ErrNotExist) {
		return token, false, err
	}
	token, _ = GenerateToken()
	switch err := (disk{}).create(path, []byte(token+"\n")); {
	case errors.Is(err, os.ErrExist): // another process was first
		token, err = loadToken(path)
		return token, false, err
	case err != nil:
		return "", false, fmt.Errorf("write access token: %w", err)
	}
	return token, true, nil
}

func loadToken(path string) (string, error) {
	data, err := readPrivate(path, "access token")
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(data))
	if !strings.HasPrefix(token, tokenPrefix) || len(token) != len(tokenPrefix)+43 {
		return "", fmt.Errorf("%s holds no access token; remove it, and the next start makes a new one", path)
	}
	return token, nil
}

// FromRequest returns the token that came with a request, "" when none did:
// as a Bearer token, or as the password of Basic authentication with any user
// name, which is how git and registry clients send one.
func FromRequest(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
