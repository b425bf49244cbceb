package registry

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/registry-build/registry-build/builder"
)

// manifest is the bytes that a digest names; a tag is put by sending them
// again under its name.
type manifest struct {
	raw       []byte
	mediaType string
}

// manifest fetches by digest; the bytes are checked against it.
func (s *session) manifest(ctx context.Context, digest string) (manifest, error) {
	got, err := remote.Get(s.repo.Digest(digest), s.options(ctx)...)
	if err != nil {
		return manifest{}, err
	}
	return manifest{got.Manifest, string(got.MediaType)}, nil
}

// put sends the manifest under the tag. It does not go through remote.Put,
// which would also rewrite the fallback tag of a subject's referrers, once
// for each tag and all at the same time.
func (s *session) put(ctx context.Context, tag name.Tag, m manifest) error {
	where := url.URL{Scheme: s.repo.Scheme(), Host: s.repo.RegistryStr(),
		Path: fmt.Sprintf("/v2/%s/manifests/%s", s.repo.RepositoryStr(), tag.TagStr())}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, where.String(), bytes.NewReader(m.raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", m.mediaType)
	// A registry has no reason to send a manifest elsewhere.
	client := http.Client{Transport: s.rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer drain(resp.Body)
	return transport.CheckError(resp, http.StatusOK, http.StatusCreated, http.StatusAccepted)
}

// delete removes a tag. It needs a handshake of its own, because it is a
// right of its own, which must not be asked for when nothing is deleted: a
// token server may refuse the whole login for it.
func (c *Client) delete(ctx context.Context, tag name.Tag, login builder.Login) error {
	s, err := c.connect(ctx, tag.Repository, login, transport.DeleteScope)
	if err != nil {
		return err
	}
	return remote.Delete(tag, s.options(ctx)...)
}
