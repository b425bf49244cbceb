package credential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// keys open the store. It is encrypted for the first; a second one is there
// only while the key is changed.
type keys []*age.X25519Identity

// loadKeys reads the key file. The error is os.ErrNotExist when there is none;
// every other one is a sentence for the operator.
func loadKeys(path string) (keys, error) {
	data, err := readPrivate(path, "credential key")
	if err != nil {
		return nil, err
	}
	// age's own error may quote the file: it does not go further.
	wrong := fmt.Errorf("credential key %s is no age key: it needs one line that begins with AGE-SECRET-KEY-1, as age-keygen writes it", path)
	ids, err := age.ParseIdentities(bytes.NewReader(data))
	if err != nil {
		return nil, wrong
	}
	var out keys
	for _, id := range ids {
		key, ok := id.(*age.X25519Identity)
		if !ok {
			return nil, wrong
		}
		out = append(out, key)
	}
	return out, nil
}

// createKey makes a key that appears whole or not at all.
func createKey(d disk, path string) (keys, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("make credential key: %w", err)
	}
	if err := d.create(path, keys{id}.text()); err != nil {
		return nil, fmt.Errorf("make credential key: %w", err)
	}
	return keys{id}, nil
}

// text is the key file, as age and age-keygen write it.
func (k keys) text() []byte {
	var b strings.Builder
	b.WriteString("# registry-build credential key; keep a copy apart from the data\n")
	for _, id := range k {
		fmt.Fprintf(&b, "# public key: %s\n%s\n", id.Recipient(), id)
	}
	return []byte(b.String())
}

func (k keys) equal(other keys) bool { return bytes.Equal(k.text(), other.text()) }

func (k keys) encrypt(all map[string]entry) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, k[0].Recipient())
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(w).Encode(all); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (k keys) decrypt(r io.Reader) (map[string]entry, error) {
	var ids []age.Identity
	for _, id := range k {
		ids = append(ids, id)
	}
	plain, err := age.Decrypt(r, ids...)
	if err != nil {
		return nil, err
	}
	// Read to the end: age authenticates the last chunk there.
	data, err := io.ReadAll(plain)
	if err != nil {
		return nil, err
	}
	stored := map[string]entry{}
	if err := json.Unmarshal(data, &stored); err != nil {
		// The decoder's error may quote what it read.
		return nil, errors.New("the decrypted file is not what this version writes")
	}
	all := make(map[string]entry, len(stored))
	for name, e := range stored {
		all[name] = e.current()
	}
	return all, nil
}
