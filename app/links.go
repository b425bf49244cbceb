package app

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// links makes addresses that carry the right to what they show, and to that
// alone. They stand where a forge shows them to readers of the repository
// only. A build's link ends with its log; a page's link lasts an hour.
type links struct {
	secret []byte
	url    string
	keep   time.Duration // how long a build's link lasts
	now    func() time.Time
}

// linkKeeps is how long the link of a build lasts that was accepted now: as
// long as its log, with a day for waiting and building.
func linkKeeps(cfg *config.Server) time.Duration { return cfg.Retention.Logs + 24*time.Hour }

// keyParameter is the query's name for the right.
const keyParameter = "key"

func (l links) sign(what string) string {
	mac := hmac.New(sha256.New, l.secret)
	mac.Write([]byte(what))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:20]) // 160 bits: nobody guesses that
}

func (l links) signed(what, key string) bool {
	return hmac.Equal([]byte(l.sign(what)), []byte(key))
}

// build is the page of one build.
func (l links) build(id string) string {
	return l.url + "/builds/" + id + "?" + keyParameter + "=" + l.sign("build "+id)
}

// page is one of our own pages, for an hour.
func (l links) page(path string) string {
	until := strconv.FormatInt(l.now().Add(time.Hour).Unix(), 36)
	return l.url + path + "?" + keyParameter + "=" + until + "." + l.sign("page "+path+" "+until)
}

// maySee reports whether the request's own link lets it see the build of its
// path.
func (l links) maySee(r *http.Request) bool {
	id, err := builder.ParseBuildID(r.PathValue("id"))
	return err == nil && l.now().Before(builder.BuildIDTime(id).Add(l.keep)) && (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		l.signed("build "+id, r.URL.Query().Get(keyParameter))
}

// mayOpen reports whether the request's own link opens the page.
func (l links) mayOpen(r *http.Request) bool {
	until, key, _ := strings.Cut(r.URL.Query().Get(keyParameter), ".")
	last, err := strconv.ParseInt(until, 36, 64)
	return err == nil && l.now().Before(time.Unix(last, 0)) && l.signed("page "+r.URL.Path+" "+until, key)
}
