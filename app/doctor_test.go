package app

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/buildkit/buildkittest"
)

func testKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

// findings are what doctor prints: a finding, and what to do about it.
func findings(out string) map[string]string {
	all := map[string]string{}
	last := ""
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		if rest, ok := strings.CutPrefix(line, "      "); ok {
			all[last] = rest
			continue
		}
		last = line
		all[last] = ""
	}
	return all
}

// finds fails unless a finding begins so and what is to do about it holds mend.
func finds(t *testing.T, out, finding, mend string) {
	t.Helper()
	for what, todo := range findings(out) {
		if strings.HasPrefix(what, finding) {
			if !strings.Contains(todo, mend) || mend == "" && todo != "" {
				t.Errorf("%s: %q, want %q", what, todo, mend)
			}
			return
		}
	}
	t.Errorf("no finding %q:\n%s", finding, out)
}

func TestDoctorOfWhatNeverRan(t *testing.T) {
	s := newSite(t, "")
	status, out, err := s.types("doctor")
	if status != 1 || err != "" {
		t.Errorf("status %d, %q; want 1 and no more to say", status, err)
	}
	finds(t, out, "ok    the server file can be read", "")
	finds(t, out, "ok    the data folder "+s.dir.root, "")
	finds(t, out, "mend  the server has never run here", "start it with `registry-build up`")
	finds(t, out, "mend  Redis does not answer", "redis.log")
	finds(t, out, "mend  BuildKit does not answer at unix://", "buildkitd.log")
	finds(t, out, "-     no GitHub App; `registry-build github setup` creates one", "")
}

func TestDoctorOfWhatIsMissing(t *testing.T) {
	s := newSite(t, "")
	t.Setenv("PATH", t.TempDir())
	_, out, _ := s.types("doctor")
	for name, mend := range map[string]string{"git": "apt-get install git", "redis-server": "or name one with `redis:`", "buildkitd": "make tools", "runc": "apt-get install runc"} {
		finds(t, out, "mend  "+name+" is missing", mend)
	}
	// What the server file names elsewhere is not needed here.
	s = newSite(t, "redis: redis://127.0.0.1:1/0\nbuildkit: [{address: \"tcp://127.0.0.1:1\"}]\n")
	_, out, _ = s.types("doctor")
	finds(t, out, "mend  git is missing", "apt-get install git")
	for _, name := range []string{"redis-server", "buildkitd", "runc"} {
		if strings.Contains(out, name+" is missing") {
			t.Errorf("%s is not needed:\n%s", name, out)
		}
	}
	finds(t, out, "mend  Redis does not answer", "is redis: in the server file its address?")
	finds(t, out, "mend  BuildKit does not answer at tcp://127.0.0.1:1", "address and tls")
	finds(t, out, "ok    forks are not built", "")
}

func TestDoctorOfBuilders(t *testing.T) {
	d, err := buildkittest.Start(buildkittest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Stop() })
	_, out, _ := newSite(t, "buildkit: [{address: \""+d.Address()+"\"}, {address: \"tcp://127.0.0.1:1\", lane: fork}]\n").types("doctor")
	finds(t, out, "ok    BuildKit answers", "")
	finds(t, out, "mend  the BuildKit for forks does not answer at tcp://127.0.0.1:1", "is it running")
	_, out, _ = newSite(t, "buildkit: [{address: \"tcp://127.0.0.1:1\"}, {address: \""+d.Address()+"\", lane: fork}]\n").types("doctor")
	finds(t, out, "ok    the BuildKit for forks answers", "")
	finds(t, out, "mend  BuildKit does not answer at tcp://127.0.0.1:1", "is it running")
	_, out, _ = newSite(t, "buildkit: [{address: \"tcp://127.0.0.1:1\"}, {address: \"tcp://127.0.0.1:1\", lane: fork}]\n").types("doctor")
	finds(t, out, "mend  the builders of the server file do not fit", "is named for both lanes")
}

func TestDoctorOfTheRegistry(t *testing.T) {
	answer := http.StatusUnauthorized
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			w.WriteHeader(answer)
		}
	}))
	defer peer.Close()
	host := strings.TrimPrefix(peer.URL, "http://")
	outside := newSite(t, "registry: {default: "+host+"/builds, insecure: [\""+host+"\"]}\n")
	ours := newSite(t, "").ran(peer.URL)
	for status, well := range map[int]bool{200: true, 401: true, 403: true, 404: false, 503: false} {
		answer = status
		_, out, _ := outside.types("doctor")
		_, out2, _ := ours.types("doctor")
		if well {
			finds(t, out, "ok    the registry answers at "+peer.URL+"/v2/", "")
			finds(t, out2, "ok    the registry answers at "+peer.URL+"/v2/", "")
			continue
		}
		finds(t, out, "mend  there is no registry at "+peer.URL+"/v2/: it answers ", "correct registry.default")
		finds(t, out2, "mend  there is no registry at "+peer.URL+"/v2/: it answers ", "the whole host of url:")
	}
	_, out, _ := newSite(t, "registry: {default: \"127.0.0.1:1\"}\n").types("doctor")
	finds(t, out, "mend  the registry does not answer: ", "registry.insecure")
}

func TestDoctorOfTheServer(t *testing.T) {
	ready := http.StatusOK
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(ready) }))
	s := newSite(t, "").ran(peer.URL)
	_, out, _ := s.types("doctor")
	finds(t, out, "ok    the server answers at "+peer.URL, "")
	ready = http.StatusServiceUnavailable
	_, out, _ = s.types("doctor")
	finds(t, out, "mend  the server at "+peer.URL+" is not ready: it answers 503", "it waits for Redis")
	peer.Close()
	_, out, _ = s.types("doctor")
	finds(t, out, "mend  the server does not answer at "+peer.URL, "start it with")
	_, out2, _ := newSite(t, "").runs(peer.URL).types("doctor")
	finds(t, out2, "mend  the server does not answer at "+peer.URL, "it runs on this machine, so see whether its address")
	if strings.Contains(out, "registry") && strings.Contains(out, "/v2/") {
		t.Errorf("the registry is part of it:\n%s", out)
	}
}

func TestDoctorOfTheDisk(t *testing.T) {
	if f := enoughSpace(leastSpace); f.Mend != "" || f.What != "5.0 GB are free where the data folder is" {
		t.Errorf("%+v", f)
	}
	if f := enoughSpace(leastSpace - 1<<30); !strings.Contains(f.Mend, "make room, 5 GB at least") || !strings.HasPrefix(f.What, "4.0 GB are free") {
		t.Errorf("%+v", f)
	}
	p := &premises{dir: &dataDir{root: t.TempDir()}} // without its rooms
	if f := p.folder(t.Context())[0]; !strings.HasPrefix(f.What, "the data folder cannot be written to: open "+p.dir.root) || !strings.Contains(f.Mend, "--data") {
		t.Errorf("%+v", f)
	}
}

// An app that cannot be read is not the same as none.
func TestDoctorOfAnAppThatCannotBeRead(t *testing.T) {
	s := newSite(t, "")
	i := s.identities()
	if err := i.keep(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	i.set(t, githubApp, builder.KindToken, "no app at all")
	_, out, _ := s.types("doctor")
	finds(t, out, "mend  the GitHub App's key cannot be read", "registry-build credentials rm github-app")
}
