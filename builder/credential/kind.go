package credential

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/registry-build/registry-build/builder"
)

// Field is one part of a credential's value.
type Field struct {
	Name     string
	Secret   bool // hidden wherever text leaves; the others are not
	Optional bool
	minimum  int    // bytes; 0: one
	why      string // it needs so many
	example  string // what stands in the line to write
	check    func(string) error
}

// form is what a kind is made of. A chat robot has two: what mail needs is
// unlike what a chat's web address needs.
type form struct {
	kind   builder.CredentialKind
	fields []Field
	check  func(map[string]string) error // of all fields together
}

const (
	hideable = "a shorter one cannot be hidden in logs"
	// Shorter secrets stand in ordinary words, and hiding them would make logs
	// unreadable.
	leastSecret = 8
	// 16 bytes are the least that a guess by brute force cannot reach.
	leastSigning = 16
)

// Services are those that a chat robot speaks to.
func Services() []string { return []string{"slack", "dingtalk", "wecom", "feishu", mailService} }

const mailService = "email"

// kindForms is the one place that knows all kinds; a new one is a row here, in
// the order in which they are documented.
func kindForms() []form {
	secret := func(name string) Field {
		return Field{Name: name, Secret: true, minimum: leastSecret, why: hideable, example: strings.ToUpper(name)}
	}
	username := Field{Name: builder.FieldUsername, example: "NAME", check: checkUsername}
	password := secret(builder.FieldPassword)
	service := Field{Name: builder.FieldService, example: strings.Join(Services(), "|"), check: checkService}
	return []form{
		{kind: builder.KindPassword, fields: []Field{username, password}},
		{kind: builder.KindToken, fields: []Field{secret(builder.FieldValue)}},
		{kind: builder.KindAPIKey, fields: []Field{secret(builder.FieldSecretID), secret(builder.FieldSecretKey)}},
		{kind: builder.KindSSHKey, fields: []Field{{Name: builder.FieldValue, Secret: true, check: checkSSHKey}}},
		{kind: builder.KindRegistryLogin, fields: []Field{
			{Name: builder.FieldRegistry, example: "registry.example.com", check: checkRegistry}, username, password}},
		{kind: builder.KindKubeconfig, fields: []Field{{Name: builder.FieldValue, Secret: true, check: checkKubeconfig}}},
		{kind: builder.KindSigningSecret, fields: []Field{{Name: builder.FieldValue, Secret: true, minimum: leastSigning,
			why: "a shorter one can be guessed; make one with: openssl rand -hex 32"}}},
		{kind: builder.KindChatRobot, fields: []Field{service,
			{Name: builder.FieldURL, Secret: true, example: "https://…", check: checkRobotURL},
			optional(secret(builder.FieldSecret))}},
		{kind: builder.KindChatRobot, check: checkMail, fields: []Field{service,
			{Name: builder.FieldServer, example: "smtp.example.com:587", check: checkMailServer},
			{Name: builder.FieldFrom, example: "builds@example.com", check: checkMailFrom},
			optional(username), optional(password)}},
	}
}

func optional(f Field) Field { f.Optional = true; return f }

// Kinds lists every kind, in the order in which they are documented.
func Kinds() []builder.CredentialKind {
	var out []builder.CredentialKind
	for _, f := range kindForms() {
		if !slices.Contains(out, f.kind) {
			out = append(out, f.kind)
		}
	}
	return out
}

// Fields lists what a credential of the kind is made of. A chat robot's depend
// on its service; "" stands for any that is no mail server.
func Fields(kind builder.CredentialKind, service string) ([]Field, error) {
	f, err := formOf(kind, service)
	return f.fields, err
}

// Single reports whether a value of the kind is one text, and no mapping.
func Single(kind builder.CredentialKind) bool {
	f, err := formOf(kind, "")
	return err == nil && len(f.fields) == 1
}

func formOf(kind builder.CredentialKind, service string) (form, error) {
	var found []form
	for _, f := range kindForms() {
		if f.kind == kind {
			found = append(found, f)
		}
	}
	switch {
	case found == nil:
		return form{}, fmt.Errorf("kind %q is unknown; %s", kind, advise(string(kind), Kinds()))
	case len(found) == 2 && service == mailService:
		return found[1], nil
	}
	return found[0], nil
}

// CheckKind returns one sentence for the person who names a kind.
func CheckKind(kind builder.CredentialKind) error {
	_, err := formOf(kind, "")
	return err
}

// Check returns one sentence for the person who sets the credential. It never
// shows a value.
func Check(c builder.Credential) error {
	f, err := formOf(c.Kind, c.Fields[builder.FieldService])
	if err != nil {
		return err
	}
	for _, field := range f.fields { // the others depend on it
		if field.Name == builder.FieldService {
			if err := field.verify(c.Kind, c.Fields[field.Name], f); err != nil {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Fields)) {
		if !slices.ContainsFunc(f.fields, func(known Field) bool { return known.Name == name }) {
			return fmt.Errorf("%s %s has no field %s; %s", article(c.Kind), c.Kind, name, f.toWrite())
		}
	}
	for _, field := range f.fields {
		if err := field.verify(c.Kind, c.Fields[field.Name], f); err != nil {
			return err
		}
	}
	if f.check != nil {
		return f.check(c.Fields)
	}
	return nil
}

// verify looks at the value of one field.
func (f Field) verify(kind builder.CredentialKind, value string, of form) error {
	what := f.title()
	switch {
	case value == "" && f.Optional:
		return nil
	case value == "" && f.Name == builder.FieldValue:
		return errEmpty
	case value == "":
		return fmt.Errorf("%s is missing; %s", what, of.toWrite())
	case len(value) > MaxValue:
		return errTooLong
	case len(value) < f.minimum:
		return fmt.Errorf("%s has %d bytes, %s %s needs at least %d: %s", what, len(value), article(kind), kind, f.minimum, f.why)
	case !f.Secret && strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%s has a control character or a line break in it; write one line", what)
	}
	if f.check == nil {
		return nil
	}
	if err := f.check(value); err != nil {
		return fmt.Errorf("%s %w", what, err)
	}
	return nil
}

// title names the field at the beginning of a sentence.
func (f Field) title() string {
	if f.Name == builder.FieldValue {
		return "the value"
	}
	return f.Name
}

// toWrite is the advice that shows every field of a form.
func (f form) toWrite() string {
	var lines []string
	for _, field := range f.fields {
		line := field.Name + ": " + field.example
		if field.Optional {
			line += " (if there is one)"
		}
		lines = append(lines, line)
	}
	if len(f.fields) == 1 {
		return "it is one text"
	}
	return "write these lines: " + strings.Join(lines, ", ")
}

// advise says which known word was meant, else all of them.
func advise[S ~string](word string, known []S) string {
	var all []string
	limit := 1 + min(len(word)/4, 2)
	best, meant := limit+1, ""
	for _, k := range known {
		all = append(all, string(k))
		if d := levenshtein.Distance(strings.ToLower(word), strings.ToLower(string(k)), nil); d < best && d < len(k) {
			best, meant = d, string(k)
		}
	}
	if meant != "" {
		return fmt.Sprintf("did you mean %q?", meant)
	}
	return "write one of: " + strings.Join(all, ", ")
}

func article(kind builder.CredentialKind) string {
	if strings.ContainsRune("aeiou", rune((kind + " ")[0])) || kind == builder.KindSSHKey {
		return "an"
	}
	return "a"
}
