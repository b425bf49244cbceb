package manifest

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// helm is the form for values of Helm charts: a mapping with repository, tag
// or digest, and often registry; or a text that is the whole reference.
func (d *draft) helm(path string, img Image) (int, error) {
	at, err := d.find(path)
	if err != nil {
		return 0, err
	}
	if at.node.Kind == yaml.ScalarNode {
		return at.node.Line, d.reference(at, path, img)
	}
	if at.node.Kind != yaml.MappingNode {
		return 0, d.errorf(at.node, "%s is %s; it should be a mapping with repository and tag or digest, or a text", path, describe(at.node))
	}
	m := at.node
	found := map[string]spot{}
	for _, name := range []string{"registry", "repository", "tag", "digest"} {
		k, v, err := d.value(m, name)
		if err != nil {
			return 0, err
		}
		if k != nil {
			found[name] = spot{k, v}
		}
	}
	if err := d.helmRepository(found, img, path); err != nil {
		return 0, err
	}
	return d.helmVersion(m, found, img, path)
}

// helmRepository sets the repository where there is one and it differs.
func (d *draft) helmRepository(found map[string]spot, img Image, path string) error {
	repository, there := found["repository"]
	if !there {
		return nil // the chart's own
	}
	want := map[string]string{"repository": img.Repository}
	if registry, there := found["registry"]; there && registry.node.Value != "" && !isNull(registry.node) {
		host, rest, _ := strings.Cut(img.Repository, "/")
		want = map[string]string{"registry": host, "repository": rest}
		if registry.node.Value+"/"+repository.node.Value == img.Repository {
			return nil // registry: host/prefix
		}
	}
	for _, name := range []string{"registry", "repository"} {
		at, text := found[name], want[name]
		if text == "" || at.node.Kind == yaml.ScalarNode && at.node.Value == text {
			continue
		}
		if err := d.set(at.key, at.node, text, path+"."+name); err != nil {
			return err
		}
		d.tell(name, at.node.Value, text)
	}
	return nil
}

// helmVersion sets digest where there is one, and a tag beside it that is not
// empty, or it would tell of another image; else the tag with the digest.
func (d *draft) helmVersion(m *yaml.Node, found map[string]spot, img Image, path string) (int, error) {
	tag, hasTag := found["tag"]
	digest, hasDigest := found["digest"]
	switch {
	case hasDigest:
		if digest.node.Kind == yaml.ScalarNode && digest.node.Value == img.Digest {
			return digest.node.Line, nil
		}
		if err := d.set(digest.key, digest.node, img.Digest, path+".digest"); err != nil {
			return 0, err
		}
		d.tell("digest", digest.node.Value, img.Digest)
		if hasTag && tag.node.ShortTag() == "!!str" && tag.node.Value != "" && tag.node.Value != img.Tag {
			if err := d.set(tag.key, tag.node, img.Tag, path+".tag"); err != nil {
				return 0, err
			}
			d.tell("tag", tag.node.Value, img.Tag)
		}
		return digest.node.Line, nil
	case hasTag:
		if _, old, _ := strings.Cut(tag.node.Value, "@"); tag.node.Kind == yaml.ScalarNode && old == img.Digest {
			return tag.node.Line, nil
		}
		if err := d.tagText(tag, img.tagged(), path+".tag"); err != nil {
			return 0, err
		}
		d.tell("tag", tag.node.Value, img.tagged())
		return tag.node.Line, nil
	}
	repository, there := found["repository"]
	if !there || repository.node.Kind != yaml.ScalarNode {
		return 0, d.errorf(m, "%s has none of repository, tag and digest (%s); let the path lead to the mapping that has them", path, keys(m))
	}
	if err := d.add(m, repository.node, pair{"tag", img.tagged()}); err != nil {
		return 0, err
	}
	d.tell("tag", "", img.tagged())
	return repository.node.Line, nil
}

// tagText sets a tag. People write tag: 1.10 too, which YAML takes for a
// number; it stood for a tag all the same.
func (d *draft) tagText(tag spot, text, what string) error {
	n := tag.node
	if n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!int" || n.ShortTag() == "!!float") {
		from, to, err := d.span(n)
		if err != nil {
			return fmt.Errorf("%s:%d: %s is not on one line", d.file, n.Line, what)
		}
		d.changed = append(d.changed, n)
		d.splice(from, to, plain(text))
		return nil
	}
	return d.set(tag.key, n, text, what)
}
