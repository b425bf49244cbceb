package plaingit

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"time"
)

// stream connects a git process with a request, flushing every write so that
// progress and "remote:" lines arrive when they are written. When the client
// cannot be written to any more it calls gone and goes on reading, so that the
// process is never stopped by a full pipe. It returns an error only when
// nothing was written yet.
func (f *Forge) stream(w http.ResponseWriter, cmd *exec.Cmd, body io.Reader, gone func()) error {
	rc := http.NewResponseController(w)
	// Git answers while it still reads. HTTP/2 does that anyhow.
	if err := rc.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	stderr := &tail{limit: 4 << 10}
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("git %s: %w", cmd.Args[1], err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, err := io.Copy(stdin, body)
		stdin.Close()
		if err != nil {
			// Git has ended early. A client that is still sending would
			// not read its answer if we hung up.
			io.Copy(io.Discard, body)
		}
	}()
	written := pump(w, rc, stdout, gone)
	err = cmd.Wait()
	<-sent
	if err != nil {
		// Mostly the client's doing: a lost connection, a refused push.
		f.log.Debug("git ended", "command", cmd.Args[1], "err", err, "stderr", stderr.String())
	}
	if err != nil && written == 0 {
		return fmt.Errorf("git %s: %w: %s", cmd.Args[1], err, stderr.String())
	}
	return nil
}

// pump copies until the process has closed its end.
func pump(w io.Writer, rc *http.ResponseController, stdout io.Reader, gone func()) (written int64) {
	defer rc.SetWriteDeadline(time.Time{}) // the connection may serve another request
	buf := make([]byte, 32<<10)
	lost := false
	for {
		n, err := stdout.Read(buf)
		if n > 0 && !lost {
			// Not every writer has deadlines; those of a server do.
			_ = rc.SetWriteDeadline(time.Now().Add(patience))
			_, werr := w.Write(buf[:n])
			if werr == nil {
				written += int64(n)
				werr = rc.Flush()
			}
			if werr != nil {
				lost = true
				gone()
			}
		}
		if err != nil {
			return written
		}
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	limit int
	kept  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - t.limit; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string { return string(t.kept) }
