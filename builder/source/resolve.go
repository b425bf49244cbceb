package source

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"
)

// kind is what an entry of a folder is.
type kind byte

const (
	file kind = iota
	folder
	link
	submodule
)

// kindOf reads the mode of a tree entry, in octal as git writes it. Git knows
// no other kinds, and of a file's mode only who may execute it.
func kindOf(mode string) (k kind, executable, ok bool) {
	switch mode {
	case "100644", "100664": // the latter in very old repositories
		return file, false, true
	case "100755":
		return file, true, true
	case "120000":
		return link, false, true
	case "040000", "40000":
		return folder, false, true
	case "160000":
		return submodule, false, true
	}
	return 0, false, false
}

// place is what a path comes to.
type place struct {
	path string // without links
	kind kind
	hash string
}

// maxLinks is how many symbolic links one path may lead through; Linux has
// the same limit.
const maxLinks = 40

// maxTarget is the longest target of a link, in bytes, as on Linux.
const maxTarget = 4096

// maxTargets is how many bytes the targets of all links of a context may have
// together: they are in memory as long as the context is.
const maxTargets = 64 << 20

// resolve finds a path of the commit, following links inside the repository.
// Its error is fs.ErrNotExist for a path that is not there and a *Failure for
// one that leaves the repository.
func (c *Commit) resolve(ctx context.Context, name string) (place, error) {
	todo, err := inside(name)
	if err != nil {
		return place{}, err
	}
	at := place{kind: folder, hash: c.tree}
	for links := 0; todo != ""; {
		if at.kind == submodule {
			return place{}, failure("%s lies in the submodule %s, which is not fetched", display(name), display(at.path))
		}
		if at.kind != folder {
			return place{}, notThere(name)
		}
		var first string
		first, todo, _ = strings.Cut(todo, "/")
		next, ok, err := c.child(ctx, at, first)
		if err != nil {
			return place{}, fmt.Errorf("open %s: %w", display(name), err)
		}
		if !ok {
			return place{}, notThere(name)
		}
		if next.kind != link {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return place{}, failure("%s leads through too many symbolic links", display(name))
		}
		if todo, err = c.follow(ctx, name, next, todo); err != nil {
			return place{}, err
		}
		at = place{kind: folder, hash: c.tree}
	}
	return at, nil
}

// inside cleans a path that a person wrote; "" is the repository's root.
func inside(name string) (string, error) {
	clean := path.Clean(name)
	switch {
	case strings.ContainsRune(name, 0):
		return "", failure("the path %s holds a zero byte", display(name))
	case path.IsAbs(clean):
		return "", failure("the path %s begins with a slash: write it relative to the root of the repository", display(name))
	case clean == "..", strings.HasPrefix(clean, "../"):
		return "", failure("the path %s leaves the repository", display(name))
	case clean == ".":
		return "", nil
	}
	return clean, nil
}

// follow returns the path, from the root, that the link at l and what comes
// after it lead to.
func (c *Commit) follow(ctx context.Context, name string, l place, rest string) (string, error) {
	obj, data, err := c.objects.read(ctx, l.hash, maxTarget)
	if err == nil && obj.kind != "blob" {
		err = errors.New("it is missing from the repository")
	}
	if err != nil {
		return "", fmt.Errorf("read the link %s: %w", display(l.path), err)
	}
	target := string(data)
	to := path.Join(path.Dir(l.path), target)
	if path.IsAbs(target) || to == ".." || strings.HasPrefix(to, "../") {
		what := "the symbolic link " + display(l.path)
		if path.Clean(name) != l.path {
			what = display(name) + " leads through " + what + ", which"
		}
		return "", failure("%s points to %s, outside of the repository: let it point to something in the repository, by a relative path", what, display(target))
	}
	if to = path.Join(to, rest); to == "." {
		return "", nil
	}
	return to, nil
}

// child looks a name up in a folder.
func (c *Commit) child(ctx context.Context, at place, name string) (place, bool, error) {
	obj, data, err := c.objects.read(ctx, at.hash, largest)
	if err != nil {
		return place{}, false, err
	}
	if obj.kind != "tree" {
		return place{}, false, fmt.Errorf("tree %s is missing from the repository", at.hash)
	}
	var found place
	ok := false
	err = c.entries(data, func(e leaf) bool {
		if e.name != name {
			return true
		}
		k, _, known := kindOf(e.mode)
		found, ok = place{path: path.Join(at.path, name), kind: k, hash: e.hash}, known
		return false
	})
	if err != nil || found.hash != "" && !ok {
		return place{}, false, fmt.Errorf("tree %s is not readable", at.hash)
	}
	return found, ok, nil
}

// leaf is one entry of a tree object, as git stores it.
type leaf struct{ mode, name, hash string }

// entries reads a tree object, until fn says that it has enough.
func (c *Commit) entries(data []byte, fn func(leaf) bool) error {
	size := len(c.tree) / 2 // of a raw hash
	for len(data) > 0 {
		// <mode> SP <name> NUL <raw hash>
		head, rest, ok := bytes.Cut(data, []byte{0})
		mode, name, ok2 := strings.Cut(string(head), " ")
		if !ok || !ok2 || len(rest) < size {
			return errors.New("a tree is not readable")
		}
		if !fn(leaf{mode, name, hex.EncodeToString(rest[:size])}) {
			return nil
		}
		data = rest[size:]
	}
	return nil
}

// display shows a name as it is, quoted where that would garble a sentence.
func display(name string) string {
	odd := func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f || r == '�' }
	if name == "" || strings.ContainsFunc(name, odd) {
		return fmt.Sprintf("%q", clip(name))
	}
	return clip(name)
}
