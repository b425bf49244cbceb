package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
)

// terminal asks a person for the fields of a credential.
type terminal struct {
	in  *os.File
	out io.Writer // of the questions
}

// maxTyped is the most that a terminal passes on of one line: the rest is
// dropped without a word (termios(3), canonical mode).
const maxTyped = 4095

func terminalOf(s streams) (terminal, bool) {
	in, ok := s.in.(*os.File)
	return terminal{in, s.err}, ok && term.IsTerminal(int(in.Fd()))
}

func (t terminal) ask(ctx context.Context, kind builder.CredentialKind) (map[string]string, error) {
	if kind == builder.KindSSHKey || kind == builder.KindKubeconfig {
		return nil, fmt.Errorf("%s: the value has several lines; give it with --file FILE, or on standard input", kind)
	}
	answers := map[string]string{}
	for done := false; !done; {
		// Once it is known, the service of a chat robot says what else there is.
		fields, err := credential.Fields(kind, answers[builder.FieldService])
		if err != nil {
			return nil, err
		}
		done = true
		for _, f := range fields {
			if _, asked := answers[f.Name]; asked {
				continue
			}
			if answers[f.Name], err = t.answer(ctx, f); err != nil {
				return nil, err
			}
			done = false
			break
		}
	}
	for name, value := range answers {
		if value == "" {
			delete(answers, name)
		}
	}
	return answers, nil
}

// answer asks for one field.
func (t terminal) answer(ctx context.Context, f credential.Field) (string, error) {
	var notes []string
	if f.Name == builder.FieldService {
		notes = append(notes, strings.Join(credential.Services(), ", "))
	}
	if f.Secret {
		notes = append(notes, "not shown")
	}
	if f.Optional {
		notes = append(notes, "empty: none")
	}
	fmt.Fprint(t.out, f.Name)
	if notes != nil {
		fmt.Fprintf(t.out, " (%s)", strings.Join(notes, "; "))
	}
	fmt.Fprint(t.out, ": ")
	line, err := t.read(ctx, f.Secret)
	if errors.Is(err, io.EOF) {
		return "", errors.New("the input ended before all was answered; nothing is kept")
	}
	if err == nil && len(line) >= maxTyped {
		return "", fmt.Errorf("a terminal passes on %d bytes of a line and drops the rest; use --file or standard input", maxTyped)
	}
	return strings.TrimSpace(line), err
}

// read reads one line, and gives the terminal back as it was when ctx ends.
func (t terminal) read(ctx context.Context, secret bool) (line string, err error) {
	fd := int(t.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	type typed struct {
		line []byte
		err  error
	}
	got := make(chan typed, 1) // the reader outlives ctx: nothing ends a read of a terminal
	go func() {
		var r typed
		if secret {
			r.line, r.err = term.ReadPassword(fd)
		} else {
			r.line, r.err = readLine(t.in)
		}
		got <- r
	}()
	select {
	case r := <-got:
		if secret {
			fmt.Fprintln(t.out) // that of the person was not shown either
		}
		return string(r.line), r.err
	case <-ctx.Done():
		fmt.Fprintln(t.out)
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	}
}

// readLine takes no byte of the next line: that may be a secret's, which is
// read otherwise.
func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := r.Read(b)
		if n == 1 && b[0] == '\n' {
			return line, nil
		}
		line = append(line, b[:n]...)
		if err != nil {
			if len(line) > 0 && errors.Is(err, io.EOF) {
				return line, nil
			}
			return nil, err
		}
	}
}
