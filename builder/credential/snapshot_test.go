package credential

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
)

// What was decrypted, and the redactor, are kept as long as nothing changed.
func TestNothingIsReadTwice(t *testing.T) {
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir)
	redactor := func() *Redactor {
		t.Helper()
		r, err := s.Redactor(t.Context(), "an extra value")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if first, second := redactor(), redactor(); first != second {
		t.Error("of an empty store two redactors are made")
	}
	if err := other.Set(t.Context(), signing("audit")); err != nil {
		t.Fatal(err)
	}
	r := redactor()
	if r.String(secret+" an extra value") != "*** ***" || redactor() != r {
		t.Error("the redactor is another one, or knows nothing")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got, err := s.Redactor(t.Context(), "another extra value"); err != nil || got.String("another extra value an extra value") != "*** an extra value" {
				t.Errorf("%v", err)
			}
			opens(t, s)
		})
	}
	wg.Wait()
	for i := range 3 * maxRedactors { // there is a bound
		if _, err := s.Redactor(t.Context(), fmt.Sprint("extra value ", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.current.Load().redactors); n > maxRedactors {
		t.Errorf("%d redactors are kept", n)
	}
}

// Every replacement is seen, however fast they follow: files of the same
// size within one tick of the clock get each other's inode numbers.
func TestEveryChangeIsSeen(t *testing.T) {
	dir := t.TempDir()
	writer, reader := open(t, dir), open(t, dir)
	versions := map[string]bool{}
	for i := range 100 {
		value := fmt.Sprintf("value %03d", i)
		if err := writer.Set(t.Context(), token("npm", value)); err != nil {
			t.Fatal(err)
		}
		c, err := reader.Get(t.Context(), "npm")
		if err != nil || c.Value() != value {
			t.Fatalf("Get = %q, %v; want %q", c.Value(), err, value)
		}
		if versions[c.Version] {
			t.Fatalf("version %s is there twice", c.Version)
		}
		versions[c.Version] = true
	}
	if err := os.Remove(writer.path()); err != nil {
		t.Fatal(err)
	}
	if list, err := reader.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("without a file: %v, %v", list, err)
	}
}

// A build that began with the former value may still print it.
func TestFormerValuesStayHidden(t *testing.T) {
	dir := t.TempDir()
	server, person := open(t, dir), open(t, dir)
	hides := func(text, want string) {
		t.Helper()
		if r, err := server.Redactor(t.Context()); err != nil || r.String(text) != want {
			t.Errorf("%q became %q, %v; want %q", text, r.String(text), err, want)
		}
	}
	for _, value := range []string{"first value", "second value", "third value"} {
		if err := person.Set(t.Context(), token("npm", value)); err != nil {
			t.Fatal(err)
		}
		hides(value, "***")
	}
	hides("first value, second value, third value", "***, ***, ***")
	if err := person.Remove(t.Context(), "npm"); err != nil {
		t.Fatal(err)
	}
	hides("first value, second value, third value", "***, ***, ***")
}

// What is set while a log is written is hidden from then on; what waits, and
// what was hidden in part, stays hidden.
func TestWriterLearns(t *testing.T) {
	dir := t.TempDir()
	server, person := open(t, dir), open(t, dir)
	set := func(value string) {
		t.Helper()
		if err := person.Set(t.Context(), token("npm", value)); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	w, err := server.Writer(t.Context(), &b, "our-own-token")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ set, text string }{
		{"", "first-value our-own-token "},
		{"first-value", "first-value firs"},
		{"second-value", "t-value second-val"},
		{"third-value", "ue second-value-thi"},
		{"overlap-our-own-", "rd-value overlap-our-own-tok"},
		{"tokens-and-more", "ens-and-more. overlap-our-own-tok"},
		{"another-value", " x"}, // what began before it waits is hidden still
	} {
		if step.set != "" {
			set(step.set)
		}
		if _, err := w.Write([]byte(step.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(server.path(), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(" first-value")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if want := "first-value *** *** *** *** ***-*** ***. ***tok x ***"; b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
}

func TestCallersCannotChangeWhatIsKept(t *testing.T) {
	s := open(t, t.TempDir())
	c := signing("audit")
	if err := s.Set(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := s.Get(t.Context(), "audit")
		if err != nil || got.Value() != secret {
			t.Fatalf("%q, %v", got.Value(), err)
		}
		got.Fields[builder.FieldValue], c.Fields[builder.FieldValue] = "spoilt", "spoilt"
	}
	all, err := s.OfKind(t.Context(), builder.KindSigningSecret)
	if err != nil || len(all) != 1 || all[0].Name != "audit" || all[0].Value() != secret {
		t.Errorf("OfKind: %v, %v", all, err)
	}
	if none, err := s.OfKind(t.Context(), builder.KindToken); err != nil || len(none) != 0 {
		t.Errorf("OfKind: %v, %v", none, err)
	}
}

// A store of the first form, which had one value for each name.
func TestOlderForm(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	write := func(stored any) {
		t.Helper()
		var out bytes.Buffer
		w, err := age.Encrypt(&out, s.keys[0].Recipient())
		if err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(w).Encode(stored); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.path(), out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	day := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	write(map[string]any{"audit": map[string]any{"kind": "signing-secret", "value": secret, "createdAt": day, "updatedAt": day}})
	first, err := s.Get(t.Context(), "audit")
	if err != nil || first.Value() != secret || first.Kind != builder.KindSigningSecret || first.Version == "" {
		t.Fatalf("%v (version %q), %v", first, first.Version, err)
	}
	if err := s.Set(t.Context(), token("npm", secret)); err != nil { // writes the form of today
		t.Fatal(err)
	}
	again, err := open(t, dir).Get(t.Context(), "audit")
	if err != nil || again.Version != first.Version || cmp.Diff(first.Fields, again.Fields) != "" {
		t.Errorf("written again it is %q of version %q, not %q (%v)", again.Fields, again.Version, first.Version, err)
	}
}

// twenty is a store of 20 tokens.
func twenty(b *testing.B) *Store {
	b.Helper()
	s, err := Open(b.TempDir(), "")
	if err != nil {
		b.Fatal(err)
	}
	for i := range 20 {
		value, _ := GenerateToken()
		if err := s.Set(b.Context(), token(fmt.Sprintf("c%02d", i), value)); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func BenchmarkStoreGet(b *testing.B) {
	s := twenty(b)
	for b.Loop() {
		if _, err := s.Get(b.Context(), "c07"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStoreRedactor(b *testing.B) {
	s := twenty(b)
	for b.Loop() {
		if _, err := s.Redactor(b.Context(), "rb_own token"); err != nil {
			b.Fatal(err)
		}
	}
}
