package source

import (
	"errors"
	"fmt"
	"io"
)

// open returns a blob that is asked for when it is first read. BuildKit's
// sender takes a file that cannot be opened for an empty one, so that all
// errors must come from Read.
func (o *objects) open(hash string, size int64) io.ReadCloser {
	return &blob{objects: o, hash: hash, size: size, left: -1}
}

// blob is a file being read. It is not for concurrent use.
type blob struct {
	objects *objects
	hash    string
	size    int64
	reader  *reader
	left    int64 // of the body; -1 before the first Read
	err     error
}

func (b *blob) Read(p []byte) (int, error) {
	if b.err == nil && b.left < 0 {
		b.err = b.start()
	}
	if b.err != nil {
		return 0, b.err
	}
	if b.left == 0 {
		b.finish(io.EOF)
		return 0, b.err
	}
	n, err := b.reader.out.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err != nil {
		b.fail(b.reader.ended(err))
	} else if b.left == 0 {
		b.finish(io.EOF)
	}
	if n > 0 {
		return n, nil
	}
	return 0, b.err
}

func (b *blob) start() (err error) {
	if b.reader, err = b.objects.get(); err != nil {
		return err
	}
	err = b.reader.ask(b.hash)
	var obj object
	if err == nil {
		obj, err = b.reader.head()
	} else {
		err = b.reader.ended(err)
	}
	if err == nil && (obj.kind != "blob" || obj.size != b.size) {
		err = fmt.Errorf("blob %s is missing from the repository", b.hash)
	}
	if err != nil {
		b.fail(err)
		return b.err
	}
	b.left = obj.size
	return nil
}

// finish takes the line feed after the body and hands the process on.
func (b *blob) finish(err error) {
	if _, discard := b.reader.out.Discard(1); discard != nil {
		b.fail(b.reader.ended(discard))
		return
	}
	b.objects.put(b.reader)
	b.reader, b.err = nil, err
}

func (b *blob) fail(err error) {
	if ctx := b.objects.ctx.Err(); ctx != nil {
		err = ctx
	}
	b.objects.drop(b.reader)
	b.reader, b.err = nil, err
}

func (b *blob) Close() error {
	if b.reader != nil {
		rest := b.left + 1
		if rest <= drainLimit {
			if _, err := b.reader.out.Discard(int(rest)); err == nil {
				b.objects.put(b.reader)
				b.reader = nil
			}
		}
		if b.reader != nil {
			b.objects.drop(b.reader)
			b.reader = nil
		}
	}
	if b.err == nil || errors.Is(b.err, io.EOF) {
		b.err = errClosed
	}
	return nil
}

// A blob that its reader leaves unfinished is read to its end if no more than
// this is left; else the process is ended, which is cheaper.
const drainLimit = 1 << 20
