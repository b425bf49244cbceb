package manifest

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kustomize is the form for the entry of images: that has the name. The
// digest takes newTag's place, as `kustomize edit set image name@digest` has
// it; the entry, and images: itself, are added where they are missing.
// https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/images/
func (d *draft) kustomize(name string, img Image) (int, error) {
	if len(d.docs) != 1 || d.docs[0].Kind != yaml.MappingNode {
		return 0, fmt.Errorf("%s is no kustomization: it should be one YAML document that is a mapping", d.file)
	}
	root := d.docs[0]
	key, images, err := d.value(root, "images")
	if err != nil {
		return 0, err
	}
	switch {
	case key == nil || isNull(images):
		return d.firstEntry(root, key, images, name, img)
	case images.Kind != yaml.SequenceNode:
		return 0, d.errorf(images, "images is %s; it should be a list of name: and digest:", describe(images))
	}
	var entry *yaml.Node
	for _, e := range images.Content {
		if !d.has(e, step{where: "name", is: name}) {
			continue
		}
		if entry != nil {
			return 0, d.errorf(e, "the name %q is in line %d too; remove one of the entries", name, entry.Line)
		}
		entry = e
	}
	if entry == nil {
		return d.nextEntry(images, name, img)
	}
	return d.entry(entry, name, img)
}

// entry brings the one entry up to date.
func (d *draft) entry(entry *yaml.Node, name string, img Image) (int, error) {
	at := map[string]spot{}
	for _, field := range []string{"name", "newName", "newTag", "digest"} {
		k, v, err := d.value(entry, field)
		if err != nil {
			return 0, err
		}
		if k != nil {
			at[field] = spot{k, v}
		}
	}
	var added []pair
	newName, renamed := at["newName"]
	effective := name
	if renamed && newName.node.Value != "" {
		effective = newName.node.Value
	}
	switch {
	case effective == img.Repository:
	case renamed:
		if err := d.set(newName.key, newName.node, img.Repository, "newName"); err != nil {
			return 0, err
		}
		d.tell("newName", newName.node.Value, img.Repository)
	default:
		added = append(added, pair{"newName", img.Repository})
		d.tell("newName", "", img.Repository)
	}
	line, pinned, err := d.pin(entry, at, img)
	if err != nil {
		return 0, err
	}
	if !pinned {
		added = append(added, pair{"digest", img.Digest})
		d.tell("digest", "", img.Digest)
	}
	return line, d.add(entry, at["name"].node, added...)
}

// pin sets the digest where there is one, or a newTag; false where there is
// neither.
func (d *draft) pin(entry *yaml.Node, at map[string]spot, img Image) (line int, done bool, err error) {
	digest, pinned := at["digest"]
	newTag, tagged := at["newTag"]
	switch {
	case pinned && digest.node.Value == img.Digest && digest.node.Kind == yaml.ScalarNode:
		return digest.node.Line, true, nil
	case pinned && tagged && d.leads(entry, newTag.key):
		// newTag is the first key: it becomes the digest, and the old one goes.
		if err = d.instead(entry, newTag, img); err == nil {
			err = d.remove(entry, digest)
		}
		d.tell("digest", digest.node.Value, img.Digest)
		return newTag.node.Line, true, err
	case pinned:
		if err = d.set(digest.key, digest.node, img.Digest, "digest"); err == nil && tagged {
			err = d.remove(entry, newTag)
		}
		d.tell("digest", digest.node.Value, img.Digest)
		return digest.node.Line, true, err
	case tagged:
		d.tell("", newTag.node.Value, img.Digest)
		return newTag.node.Line, true, d.instead(entry, newTag, img)
	}
	return at["name"].node.Line, false, nil
}

// leads reports whether the key stands behind the entry's dash.
func (d *draft) leads(entry, key *yaml.Node) bool { return !isFlow(entry) && entry.Content[0] == key }

// instead lets digest take newTag's place.
func (d *draft) instead(entry *yaml.Node, newTag spot, img Image) error {
	kFrom, kTo, err := d.span(newTag.key)
	if err != nil {
		return d.errorf(newTag.key, "newTag is written in a way that is not changed; write it plainly")
	}
	if isNull(newTag.node) && newTag.node.Value == "" {
		at, err := d.colon(newTag.key)
		if err != nil {
			return d.errorf(newTag.key, "newTag has no value; remove it")
		}
		d.splice(at, at, " "+img.Digest)
	} else {
		vFrom, vTo, err := d.span(newTag.node)
		if err != nil {
			return d.errorf(newTag.node, "newTag is %s; write it on one line", describe(newTag.node))
		}
		d.splice(vFrom, vTo, img.Digest)
	}
	d.splice(kFrom, kTo, "digest")
	d.grown, d.changed = append(d.grown, entry), append(d.changed, newTag.key)
	return nil
}

// remove takes a key with a text of one line away.
func (d *draft) remove(entry *yaml.Node, at spot) error {
	from, _, err := d.span(at.key)
	if err != nil {
		return d.errorf(at.key, "%s cannot be removed; remove it by hand", at.key.Value)
	}
	to, err := d.colon(at.key)
	if err == nil && !isNull(at.node) {
		_, to, err = d.span(at.node)
	}
	if err != nil {
		return d.errorf(at.node, "%s is written over several lines; remove it by hand", at.key.Value)
	}
	d.grown, d.changed = append(d.grown, entry), append(d.changed, at.key)
	if !isFlow(entry) {
		d.splice(d.lines[at.key.Line-1], d.next(to), "")
		return nil
	}
	// In braces the comma goes with it: the one behind, or else the one before.
	if rest := strings.TrimLeft(string(d.text[to:]), " \t"); strings.HasPrefix(rest, ",") {
		to = len(d.text) - len(strings.TrimLeft(rest[1:], " \t"))
	} else if before := strings.TrimRight(string(d.text[:from]), " \t\r\n"); strings.HasSuffix(before, ",") {
		from = len(before) - 1
	}
	d.splice(from, to, "")
	return nil
}

// fields of a new entry.
func fields(name string, img Image) []pair {
	list := []pair{{"name", name}}
	if name != img.Repository {
		list = append(list, pair{"newName", img.Repository})
	}
	return append(list, pair{"digest", img.Digest})
}

// entryLines is a new entry of a list in block style: the dash at a column,
// and the keys gap columns behind it.
func entryLines(column, gap int, name string, img Image) []string {
	var lines []string
	lead := strings.Repeat(" ", column) + "-" + strings.Repeat(" ", gap-1)
	for _, p := range fields(name, img) {
		lines = append(lines, lead+p.key+": "+plain(p.value))
		lead = strings.Repeat(" ", column+gap)
	}
	return lines
}

// firstEntry adds images: with the entry, or fills one that is empty.
func (d *draft) firstEntry(root, key, images *yaml.Node, name string, img Image) (int, error) {
	if isFlow(root) || len(root.Content) == 0 {
		return 0, d.errorf(root, "there is no images: list, and none can be added to a mapping in braces; add images: []")
	}
	d.tell("digest", "", img.Digest)
	column := root.Column - 1 // kustomize's own style has the dash below the key
	for i := 1; i < len(root.Content); i += 2 {
		if v := root.Content[i]; v.Kind == yaml.SequenceNode && !isFlow(v) && len(v.Content) > 0 {
			column = v.Column - 1
			break
		}
	}
	lines := entryLines(column, 2, name, img)
	if key != nil {
		at, err := d.colon(key)
		if err != nil || images.Value != "" {
			return 0, d.errorf(key, "images is %s; write images: []", describe(images))
		}
		d.changed, d.grown = append(d.changed, key), append(d.grown, root)
		d.addLines(at, lines...)
		return key.Line, nil
	}
	d.grown = append(d.grown, root)
	lines = append([]string{strings.Repeat(" ", root.Column-1) + "images:"}, lines...)
	d.addLines(len(d.text), lines...)
	return len(d.lines), nil
}

// nextEntry adds an entry to a list that lacks it.
func (d *draft) nextEntry(images *yaml.Node, name string, img Image) (int, error) {
	d.grown = append(d.grown, images)
	d.tell("digest", "", img.Digest)
	if isFlow(images) {
		return images.Line, d.nextInBrackets(images, name, img)
	}
	at := d.offset(images)
	if at < 0 || d.text[at] != '-' {
		return 0, d.errorf(images, "images is written in a way that nothing can be added to; add - name: %s", name)
	}
	column, gap := images.Column-1, images.Content[0].Column-images.Column
	if images.Content[0].Kind != yaml.MappingNode || isFlow(images.Content[0]) || gap < 2 {
		gap = 2
	}
	d.addLines(d.lastLine(images), entryLines(column, gap, name, img)...)
	return images.Line, nil
}

// lastLine is where the last line of a list in block style begins: the last
// one that is neither empty nor a comment nor further left.
func (d *draft) lastLine(list *yaml.Node) int {
	column, last := list.Column-1, d.lines[list.Line-1]
	for _, from := range d.lines[list.Line:] {
		line := string(d.text[from:d.lineEnd(from)])
		text := strings.TrimLeft(line, " ")
		indent := len(line) - len(text)
		switch {
		case strings.TrimSpace(text) == "":
			continue
		case indent > column, indent == column && (text == "-" || strings.HasPrefix(text, "- ")):
			last = from
		case strings.HasPrefix(text, "#"):
			continue
		default:
			return last
		}
	}
	return last
}

// nextInBrackets adds an entry to a list like [{name: a}].
func (d *draft) nextInBrackets(images *yaml.Node, name string, img Image) error {
	var parts []string
	for _, p := range fields(name, img) {
		parts = append(parts, p.key+": "+plain(p.value))
	}
	text := "{" + strings.Join(parts, ", ") + "}"
	at := d.offset(images)
	if at < 0 || d.text[at] != '[' {
		return d.errorf(images, "images is written in a way that nothing can be added to; add {name: %s}", name)
	}
	if len(images.Content) > 0 {
		text += ","
		if !strings.ContainsRune(" \t\r\n", rune(d.text[at+1])) {
			text += " "
		}
	}
	// Before the first, whose place is known; the order means nothing.
	d.splice(at+1, at+1, text)
	return nil
}
