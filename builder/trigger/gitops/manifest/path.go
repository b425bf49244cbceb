package manifest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// step is one part of a path: a key, an index from 0, or the entry where a
// key has a value.
type step struct {
	key   string
	index int    // -1: not an index
	where string // dotted; "" is no selector
	is    string
}

func (s step) String() string {
	switch {
	case s.where != "":
		return "[" + s.where + "=" + s.is + "]"
	case s.index >= 0:
		return "[" + strconv.Itoa(s.index) + "]"
	}
	if strings.ContainsAny(s.key, `.[]"`) {
		return strconv.Quote(s.key)
	}
	return s.key
}

// stepSyntax is a key (quoted where it has dots or brackets) or a selector in
// brackets, with what follows.
var stepSyntax = regexp.MustCompile(`^(?:"([^"]+)"|([^.\[\]"]+)|\[(\d{1,6})\]|\[([^\[\]="]+)=(?:"([^"]*)"|([^\[\]"]*))\])`)

// parsePath reads spec.template.spec.containers[name=api].image.
func parsePath(path string) ([]step, error) {
	var steps []step
	for rest := path; ; {
		m := stepSyntax.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf(`path %q cannot be read at %q; write keys with dots between them, [0] for an entry and [name=api] for the one with that name, and keys that have dots between quotes: spec.template.spec.containers[name=api].image`, path, rest)
		}
		s := step{key: m[1] + m[2], index: -1, where: m[4], is: m[5] + m[6]}
		if m[3] != "" {
			s.index, _ = strconv.Atoi(m[3])
		}
		steps = append(steps, s)
		rest = rest[len(m[0]):]
		switch {
		case rest == "":
			return steps, nil
		case rest[0] == '.' && len(rest) > 1 && rest[1] != '[':
			rest = rest[1:]
		case rest[0] != '[':
			rest = "." + rest // is refused
		}
	}
}

// spot is where a path leads.
type spot struct {
	key, node *yaml.Node // key is nil for an entry of a list
}

// find follows a path in the one document where it leads somewhere. Selectors
// at the path's beginning choose among documents: [1] is the second,
// [kind=Deployment] and [metadata.name=api] those with that value.
func (s *source) find(path string) (spot, error) {
	steps, err := parsePath(path)
	if err != nil {
		return spot{}, fmt.Errorf("%s: %w", s.file, err)
	}
	if len(s.docs) == 0 {
		return spot{}, fmt.Errorf("%s is empty; write the value at %s once, then it is kept up to date", s.file, path)
	}
	docs, steps, err := s.choose(steps, path)
	if err != nil {
		return spot{}, err
	}
	var found []spot
	var first error
	for _, doc := range docs {
		at, err := s.follow(doc, steps)
		if err == nil {
			found = append(found, at)
		} else if first == nil {
			first = err
		}
	}
	switch len(found) {
	case 0:
		if len(docs) > 1 {
			return spot{}, fmt.Errorf("%s: %s leads nowhere in any of the %d documents; in the first: %w", s.file, path, len(docs), first)
		}
		return spot{}, first
	case 1:
		return found[0], nil
	}
	return spot{}, s.errorf(found[1].node, "%s leads to a value in line %d too; choose the document: [kind=Deployment].%s, [metadata.name=NAME].%s or [0].%s",
		path, found[0].node.Line, path, path, path)
}

// choose takes the selectors of documents from the path. A file of one
// document that is a list has none: they choose among its entries.
func (s *source) choose(steps []step, path string) ([]*yaml.Node, []step, error) {
	docs := s.docs
	if len(docs) == 1 && docs[0].Kind == yaml.SequenceNode {
		return docs, steps, nil
	}
	for len(steps) > 0 && steps[0].key == "" {
		var kept []*yaml.Node
		for i, doc := range docs {
			if steps[0].index == i || steps[0].index < 0 && s.has(doc, steps[0]) {
				kept = append(kept, doc)
			}
		}
		if len(kept) == 0 {
			return nil, nil, fmt.Errorf("%s has no document %s, which %s asks for; it has %d", s.file, steps[0], path, len(s.docs))
		}
		docs, steps = kept, steps[1:]
	}
	return docs, steps, nil
}

// has reports whether a mapping has the value that a selector asks for.
func (s *source) has(n *yaml.Node, sel step) bool {
	for key := range strings.SplitSeq(sel.where, ".") {
		if n.Kind != yaml.MappingNode {
			return false
		}
		_, v, err := s.value(n, key)
		if err != nil || v == nil {
			return false
		}
		n = v
	}
	return n.Kind == yaml.ScalarNode && n.Value == sel.is
}

// follow goes down the path, and says where it ends.
func (s *source) follow(n *yaml.Node, steps []step) (spot, error) {
	at := spot{node: n}
	way := "the file"
	for i, st := range steps {
		n := at.node
		if n.Kind == yaml.AliasNode {
			return spot{}, s.errorf(n, "%s is the alias *%s: what is below it is named elsewhere too; let the path lead to where &%s stands", way, n.Value, n.Value)
		}
		next, err := s.down(n, st, way)
		if err != nil {
			return spot{}, err
		}
		at = next
		if i == 0 {
			way = st.String()
		} else if st.key == "" {
			way += st.String()
		} else {
			way += "." + st.String()
		}
	}
	return at, nil
}

func (s *source) down(n *yaml.Node, st step, way string) (spot, error) {
	if st.key != "" {
		if n.Kind != yaml.MappingNode {
			return spot{}, s.errorf(n, "%s is %s, so there is no %s in it", way, describe(n), st)
		}
		k, v, err := s.value(n, st.key)
		if err != nil {
			return spot{}, err
		}
		if k == nil {
			return spot{}, s.errorf(n, "there is no %s in %s; %s", st, way, keys(n))
		}
		return spot{k, v}, nil
	}
	if n.Kind != yaml.SequenceNode {
		return spot{}, s.errorf(n, "%s is %s, not a list, so there is no %s in it", way, describe(n), st)
	}
	if st.index >= 0 {
		if st.index >= len(n.Content) {
			return spot{}, s.errorf(n, "%s has %d entries, so there is no %s; the first is [0]", way, len(n.Content), st)
		}
		return spot{node: n.Content[st.index]}, nil
	}
	var found *yaml.Node
	for _, entry := range n.Content {
		if !s.has(entry, st) {
			continue
		}
		if found != nil {
			return spot{}, s.errorf(entry, "%s fits the entry in line %d too; write a selector that only one fits, or its number", st, found.Line)
		}
		found = entry
	}
	if found == nil {
		return spot{}, s.errorf(n, "no entry of %s is %s", way, st)
	}
	return spot{node: found}, nil
}

// path is the form for a text that is an image's reference.
func (d *draft) path(path string, img Image) (int, error) {
	at, err := d.find(path)
	if err != nil {
		return 0, err
	}
	return at.node.Line, d.reference(at, path, img)
}

// reference makes a text the reference of the image, unless it names the same
// digest already, by whatever tag.
func (d *draft) reference(at spot, what string, img Image) error {
	n := at.node
	repository, _, digest := splitReference(n.Value)
	if n.Kind == yaml.ScalarNode && repository == img.Repository && digest == img.Digest {
		return nil
	}
	if err := d.set(at.key, n, img.String(), what); err != nil {
		return err
	}
	d.tell("", n.Value, img.String())
	return nil
}

// splitReference takes repository:tag@digest apart.
func splitReference(ref string) (repository, tag, digest string) {
	repository, digest, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository, tag = repository[:i], repository[i+1:]
	}
	return repository, tag, digest
}
