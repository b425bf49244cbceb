package credential

import (
	"io"
	"slices"
	"strings"
)

// Mask is what stands in the place of secrets. Secrets that touch or overlap
// get one mask together, so that no rest of one shows.
const Mask = "***"

// Redactor hides secrets in text: each value as it is, each of its lines of
// at least 4 bytes (of 8 inside PEM armour, which is not hidden itself), and
// its base64 (both alphabets, padded or not, wherever it begins in a longer
// text), URL-encoded and JSON-escaped forms. Values of less than 4 bytes are
// not hidden: they stand in every other word, so the store refuses them. A
// Redactor never changes and may be used concurrently.
type Redactor struct {
	auto *automaton // nil: nothing to hide
}

// NewRedactor hides the values. It takes some hundred bytes of memory for each
// byte of them, the encodings included.
func NewRedactor(values ...string) *Redactor {
	var patterns []string
	for _, v := range values {
		patterns = append(patterns, forms(v)...)
	}
	return redactorOf(patterns)
}

// redactorOf hides the texts as they are.
func redactorOf(patterns []string) *Redactor {
	if len(patterns) == 0 {
		return &Redactor{}
	}
	return &Redactor{auto: newAutomaton(patterns)}
}

// String returns s with every secret hidden.
func (r *Redactor) String(s string) string {
	if r.auto == nil {
		return s
	}
	var b strings.Builder
	w := r.Writer(&b)
	_, _ = io.WriteString(w, s) // a Builder never fails
	_ = w.Close()
	return b.String()
}

// Writer returns a writer that hides every secret, however the text is cut
// into writes. It holds back only what may be the beginning of a secret, and
// Close flushes that; it does not close w. After an error of w nothing more
// is written. The writer is for one goroutine at a time.
func (r *Redactor) Writer(w io.Writer) io.WriteCloser {
	return &writer{auto: r.auto, w: w}
}

type writer struct {
	auto *automaton
	next func() *automaton // what to hide from now on; nil: always the same
	w    io.Writer
	at   int32  // where the automaton stands
	held []byte // read, not written yet; between calls at most open[at] bytes
	hide []span // of held, in order, apart from each other
	mask bool   // the last byte that left was hidden
	out  []byte // reused
	err  error
}

// span is held[from:to].
type span struct{ from, to int }

// piece bounds the memory that one large write takes.
const piece = 32 << 10

func (w *writer) Write(p []byte) (int, error) {
	if w.next != nil {
		if auto := w.next(); auto != w.auto {
			w.turn(auto)
		}
	}
	if w.auto == nil && w.err == nil {
		return w.w.Write(p)
	}
	for n := 0; n < len(p); {
		if w.err != nil {
			return n, w.err
		}
		end := min(n+piece, len(p))
		w.read(p[n:end])
		w.emit(len(w.held) - int(w.auto.open[w.at]))
		n = end
	}
	return len(p), w.err
}

// turn goes on with other secrets. What is held is looked at again.
func (w *writer) turn(auto *automaton) {
	held, hide := w.held, w.hide
	w.auto, w.at, w.held, w.hide = auto, 0, nil, nil
	if auto == nil {
		w.held, w.hide = held, hide
		w.emit(len(held))
		return
	}
	w.read(held)
	hide = append(hide, w.hide...)
	slices.SortFunc(hide, func(a, b span) int { return a.from - b.from })
	w.hide = nil
	for _, s := range hide {
		if last := len(w.hide) - 1; last >= 0 && w.hide[last].to >= s.from {
			w.hide[last].to = max(w.hide[last].to, s.to)
			continue
		}
		w.hide = append(w.hide, s)
	}
}

func (w *writer) Close() error {
	if w.err == nil {
		w.emit(len(w.held))
	}
	return w.err
}

// read takes p in and notes what is to be hidden.
func (w *writer) read(p []byte) {
	base := len(w.held)
	w.held = append(w.held, p...)
	for i, c := range p {
		w.at = w.auto.step(w.at, c)
		if n := int(w.auto.longest[w.at]); n > 0 {
			w.cover(base+i+1-n, base+i+1)
		}
	}
}

// cover adds a span that ends behind all others, joined to those it touches.
// It never reaches before held: a match in the making is never let go.
func (w *writer) cover(from, to int) {
	for k := len(w.hide); k > 0 && w.hide[k-1].to >= from; k-- {
		from = min(from, w.hide[k-1].from)
		w.hide = w.hide[:k-1]
	}
	w.hide = append(w.hide, span{from, to})
}

// emit lets the first n held bytes go.
func (w *writer) emit(n int) {
	if n <= 0 {
		return
	}
	w.out = w.out[:0]
	pos, rest := 0, w.hide[:0]
	for _, s := range w.hide {
		if s.from >= n {
			rest = append(rest, span{s.from - n, s.to - n})
			continue
		}
		if pos < s.from {
			w.out = append(w.out, w.held[pos:s.from]...)
			w.mask = false
		}
		if !w.mask {
			w.out = append(w.out, Mask...)
			w.mask = true
		}
		pos = min(s.to, n)
		if s.to > n {
			rest = append(rest, span{0, s.to - n})
		}
	}
	if pos < n {
		w.out = append(w.out, w.held[pos:n]...)
		w.mask = false
	}
	w.hide = rest
	w.held = w.held[:copy(w.held, w.held[n:])]
	if len(w.out) > 0 {
		_, w.err = w.w.Write(w.out)
	}
}
