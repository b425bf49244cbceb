package credential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
)

const secret = "correct horse battery staple"

// single is a credential of one field.
func single(name string, kind builder.CredentialKind, value string) builder.Credential {
	return builder.Credential{Name: name, Kind: kind, Fields: map[string]string{builder.FieldValue: value}}
}

func token(name, value string) builder.Credential { return single(name, builder.KindToken, value) }

func signing(name string) builder.Credential { return single(name, builder.KindSigningSecret, secret) }

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	s := open(t, dir)
	day := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return day }

	if got, err := s.List(ctx); err != nil || len(got) != 0 {
		t.Fatalf("List of a new store = %v, %v", got, err)
	}
	for _, name := range []string{"npm", "audit"} {
		if err := s.Set(ctx, token(name, "first value")); err != nil {
			t.Fatal(err)
		}
	}
	s.now = func() time.Time { return day.Add(time.Hour) }
	if err := s.Set(ctx, signing("audit")); err != nil {
		t.Fatal(err)
	}

	again := open(t, dir) // another process
	got, err := again.Get(ctx, "audit")
	want := signing("audit")
	if want.Version = got.Version; err != nil || got.Version == "" || !reflect.DeepEqual(want, got) {
		t.Errorf("Get = %q, %v", got.Fields, err)
	}
	list, err := again.List(ctx)
	infos := []Info{
		{"audit", builder.KindSigningSecret, day, day.Add(time.Hour), []Use{}},
		{"npm", builder.KindToken, day, day, []Use{}},
	}
	if diff := cmp.Diff(infos, list); diff != "" || err != nil {
		t.Errorf("List: %v (-want +got)\n%s", err, diff)
	}
	if r, err := again.Redactor(ctx); err != nil || r.String("a "+secret+" b first value") != "a *** b ***" {
		t.Errorf("the redactor does not know the store's values (%v)", err)
	}
	if err := again.Remove(ctx, "npm"); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"Remove": again.Remove(ctx, "npm"),
		"Get":    func() error { _, err := s.Get(ctx, "npm"); return err }(),
	} {
		if !errors.Is(err, builder.ErrNotFound) {
			t.Errorf("%s of what is not there: %v", what, err)
		}
	}
}

func TestStoreIsEncryptedAndPrivate(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Set(t.Context(), signing("audit")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("files %v, %v; want the store, the key and the lock", entries, err)
	}
	for _, e := range entries {
		fi, _ := e.Info()
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", e.Name(), fi.Mode().Perm())
		}
		data, _ := os.ReadFile(filepath.Join(dir, e.Name()))
		if bytes.Contains(data, []byte(secret)) || bytes.Contains(data, []byte("audit")) {
			t.Errorf("%s shows a name or a value", e.Name())
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		spoil func(key string) error
		want  string
	}{
		"key open to others": {func(k string) error { return os.Chmod(k, 0o644) }, "has mode 0644 and others than its owner can reach it: run chmod 600"},
		"no key":             {func(k string) error { return os.WriteFile(k, []byte(secret), 0o600) }, "is no age key"},
		"key lost":           {os.Remove, "is not there"},
		"a folder":           {func(k string) error { return errors.Join(os.Remove(k), os.Mkdir(k, 0o700)) }, "is no regular file"},
		"another key":        {func(k string) error { return os.WriteFile(k, []byte(other.String()), 0o600) }, "encrypted with another key"},
		"two other keys":     {func(k string) error { return os.WriteFile(k, []byte(other.String()+"\n"+other.String()), 0o600) }, "encrypted with another key"},
		"store damaged": {func(k string) error {
			return os.WriteFile(filepath.Join(filepath.Dir(k), storeFile), []byte("age-encryption"), 0o600)
		}, "read credentials"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := open(t, dir).Set(t.Context(), signing("audit")); err != nil {
				t.Fatal(err)
			}
			if err := tt.spoil(filepath.Join(dir, keyName)); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir, "")
			if err == nil {
				_, err = s.Get(t.Context(), "audit")
				if _, err := s.Redactor(t.Context()); err == nil {
					t.Error("a redactor that knows no secrets, of a store that cannot be read")
				}
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("error %v; want …%s…", err, tt.want)
			}
		})
	}
}

func TestSetRefusesNames(t *testing.T) {
	s := open(t, t.TempDir())
	for _, name := range []string{"../key", "..", ""} {
		if err := s.Set(t.Context(), token(name, secret)); err == nil || !strings.Contains(err.Error(), "cannot be a credential") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Every writer opens the store anew, as separate processes do.
func TestWritersTakeTurns(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			s, err := Open(dir, "")
			if err == nil {
				err = s.Set(t.Context(), token(fmt.Sprintf("c%02d", i), secret))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if list, err := open(t, dir).List(t.Context()); err != nil || len(list) != 20 {
		t.Errorf("%d credentials, %v; want 20", len(list), err)
	}
}

func TestCredentialIsNeverPrinted(t *testing.T) {
	c := token("npm", secret)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "c", c)
	data, err := json.Marshal(struct{ C builder.Credential }{c})
	if err != nil {
		t.Error(err)
	}
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %q %x", c, &c, c, []builder.Credential{c}, c), log.String(), string(data)} {
		if strings.Contains(s, "horse") || strings.Contains(s, "686f727365") || !strings.Contains(s, "hidden") {
			t.Errorf("shown: %s", s)
		}
	}
}

func TestReadValue(t *testing.T) {
	tests := map[string]struct{ in, want, err string }{
		"line":       {"abc\n", "abc", ""},
		"windows":    {"abc\r\n", "abc", ""},
		"lines":      {"a\nb\n\n", "a\nb", ""},
		"spaces":     {" abc \n", " abc ", ""},
		"empty":      {"", "", "is empty"},
		"only break": {"\n", "", "is empty"},
		"longest":    {strings.Repeat("x", MaxValue) + "\n", strings.Repeat("x", MaxValue), ""},
		"too long":   {strings.Repeat("x", MaxValue+1), "", "longer than"},
		"far longer": {strings.Repeat("x\n", MaxValue), "", "longer than"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ReadValue(strings.NewReader(tt.in))
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("ReadValue = %.20q, %v", got, err)
			}
		})
	}
}
