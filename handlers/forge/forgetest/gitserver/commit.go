package gitserver

import (
	"sort"
	"strconv"
	"strings"
	"time"
)

// EmptyTree is the tree without files.
const EmptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

// Person is who wrote a commit, and when.
type Person struct {
	Name, Email string
	At          time.Time
}

// Commit is one commit object.
type Commit struct {
	SHA, Tree, Message string
	Parents            []string
	Author, Committer  Person
}

// Read reads a commit by its full hash.
func (b Repo) Read(sha string) (Commit, error) {
	out, err := b.Run("cat-file", "commit", sha)
	if err != nil {
		return Commit{}, err
	}
	c := Commit{SHA: sha}
	head, message, _ := strings.Cut(out, "\n\n")
	c.Message = strings.TrimSuffix(message, "\n")
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch key {
		case "tree":
			c.Tree = value
		case "parent":
			c.Parents = append(c.Parents, value)
		case "author":
			c.Author = ParsePerson(value)
		case "committer":
			c.Committer = ParsePerson(value)
		}
	}
	return c, nil
}

// ParsePerson reads "Name <mail> seconds zone".
func ParsePerson(line string) Person {
	name, rest, _ := strings.Cut(line, " <")
	email, at, _ := strings.Cut(rest, "> ")
	seconds, _, _ := strings.Cut(at, " ")
	n, _ := strconv.ParseInt(seconds, 10, 64)
	return Person{name, email, time.Unix(n, 0).UTC()}
}

// Entry is a line of `git ls-tree -l`.
type Entry struct {
	Mode, Kind, SHA, Path string
	Size                  int // 0 for trees
}

// List lists a tree.
func (b Repo) List(treeish string, args ...string) ([]Entry, error) {
	out, err := b.Run(append(append([]string{"ls-tree", "-z", "-l"}, args...), treeish)...)
	if err != nil {
		return nil, err
	}
	var list []Entry
	for _, line := range strings.Split(strings.TrimSuffix(out, "\x00"), "\x00") {
		head, name, found := strings.Cut(line, "\t")
		if !found {
			continue
		}
		f := strings.Fields(head)
		size, _ := strconv.Atoi(f[3]) // "-" for trees
		list = append(list, Entry{f[0], f[1], f[2], name, size})
	}
	return list, nil
}

// Changed lists what a commit changed beside its first parent, as pushes tell it.
func (b Repo) Changed(sha string) (added, modified, removed []string, err error) {
	files, err := b.Run("diff-tree", "--root", "--no-commit-id", "--name-status", "--no-renames", "-r", "-m", "--first-parent", sha)
	if err != nil {
		return nil, nil, nil, err
	}
	lists := map[string][]string{"A": {}, "D": {}, "M": {}}
	for line := range strings.Lines(files) {
		kind, path, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if kind == "T" {
			kind = "M"
		}
		lists[kind] = append(lists[kind], path)
	}
	for _, l := range lists {
		sort.Strings(l)
	}
	return lists["A"], lists["M"], lists["D"], nil
}

// A Move is one ref that a push moved.
type Move struct {
	Ref, Before, After string // ZeroSHA: none
}

// Created reports whether the ref was not there before.
func (m Move) Created() bool { return m.Before == ZeroSHA }

// Deleted reports whether the ref is gone.
func (m Move) Deleted() bool { return m.After == ZeroSHA }

// Branch is the branch's name; "" for other refs.
func (m Move) Branch() string {
	name, _ := strings.CutPrefix(m.Ref, "refs/heads/")
	if name == m.Ref {
		return ""
	}
	return name
}

// Tag is the tag's name; "" for other refs.
func (m Move) Tag() string {
	name, _ := strings.CutPrefix(m.Ref, "refs/tags/")
	if name == m.Ref {
		return ""
	}
	return name
}

// Compare lists the refs that differ, by name.
func Compare(before, after map[string]string) []Move {
	names := map[string]bool{}
	for ref := range before {
		names[ref] = true
	}
	for ref := range after {
		names[ref] = true
	}
	sorted := make([]string, 0, len(names))
	for ref := range names {
		sorted = append(sorted, ref)
	}
	sort.Strings(sorted)
	var moves []Move
	for _, ref := range sorted {
		m := Move{ref, orZero(before[ref]), orZero(after[ref])}
		if m.Before != m.After {
			moves = append(moves, m)
		}
	}
	return moves
}

func orZero(sha string) string {
	if sha == "" {
		return ZeroSHA
	}
	return sha
}
