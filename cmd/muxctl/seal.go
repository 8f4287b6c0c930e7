package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// An export is a file sealed with age; inside is JSON:
//
//	{"format": "usbmuxd pair records", "version": 1, "exported": "2026-11-25T05:31:00Z",
//	 "buid": "...", "records": [{"udid": "...", "record": "base64 of the property list"}]}
type export struct {
	Format   string     `json:"format"`
	Version  int        `json:"version"`
	Exported time.Time  `json:"exported"`
	BUID     string     `json:"buid"` // of the computer that they are from
	Records  []exported `json:"records"`
}

type exported struct {
	UDID   string `json:"udid"`
	Record []byte `json:"record"`
}

const (
	exportFormat  = "usbmuxd pair records"
	exportVersion = 1

	maxExport  = 16 << 20 // bytes of a sealed file
	maxRecord  = 64 << 10 // bytes of a record: a longer one cannot be saved
	maxRecords = 1024     // in one file
	workFactor = 18       // of scrypt, 2 to the power of it, as age has it: about a second
)

// seal encrypts e.
func seal(e export, recipients ...age.Recipient) ([]byte, error) {
	var b bytes.Buffer
	w, err := age.Encrypt(&b, recipients...)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if err := json.NewEncoder(w).Encode(e); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return b.Bytes(), nil
}

const armorStart = "-----BEGIN AGE"

// sealedReader takes off an armor, if there is one.
func sealedReader(sealed []byte) io.Reader {
	if bytes.HasPrefix(bytes.TrimLeft(sealed, " \t\r\n"), []byte(armorStart)) {
		return armor.NewReader(bytes.NewReader(sealed))
	}
	return bytes.NewReader(sealed)
}

// needsPassphrase reports whether a file was sealed with a passphrase.
func needsPassphrase(sealed []byte) bool {
	const most = 1 << 10 // bytes; a passphrase's stanza is the first and only one
	head, _ := io.ReadAll(io.LimitReader(sealedReader(sealed), most))
	return bytes.Contains(head, []byte("\n-> scrypt "))
}

// unseal decrypts and decodes.
func unseal(sealed []byte, identities ...age.Identity) (export, error) {
	r, err := age.Decrypt(sealedReader(sealed), identities...)
	if err != nil {
		var wrong *age.NoIdentityMatchError
		if errors.As(err, &wrong) {
			return export{}, errors.New("the file is sealed for another key or passphrase: give that one")
		}
		return export{}, fmt.Errorf("unseal: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(r, maxExport+1))
	if err != nil {
		return export{}, fmt.Errorf("unseal: the file is damaged: %w; export the records again", err)
	}
	return decodeExport(data)
}

// decodeExport decodes and checks what was in a sealed file.
func decodeExport(data []byte) (export, error) {
	if len(data) > maxExport {
		return export{}, fmt.Errorf("the file holds more than %s: export fewer records at once", bytesText(maxExport))
	}
	var e export
	if err := json.Unmarshal(data, &e); err != nil || e.Format != exportFormat {
		return export{}, errors.New("the file is sealed, but holds no export of pair records")
	}
	switch {
	case e.Version != exportVersion:
		return export{}, fmt.Errorf("the file is of version %d, this muxctl knows version %d: update it", e.Version, exportVersion)
	case len(e.Records) == 0:
		return export{}, errors.New("the file holds no pair record: give one that \"muxctl records export\" has written")
	case len(e.Records) > maxRecords:
		return export{}, fmt.Errorf("the file holds more than %d pair records: export fewer at once", maxRecords)
	}
	seen := make(map[string]bool)
	for _, r := range e.Records {
		switch plain := plainUDID(r.UDID); {
		case !looksLikeUDID(r.UDID):
			return export{}, fmt.Errorf("the file holds a record of %.64q, which is no UDID: export it again", r.UDID)
		case seen[plain]:
			return export{}, fmt.Errorf("the file holds two records of %s: export them again", r.UDID)
		case len(r.Record) > maxRecord:
			return export{}, fmt.Errorf("the record of %s has %d bytes, the most is %d: export it again", r.UDID, len(r.Record), maxRecord)
		default:
			seen[plain] = true
		}
		if _, err := readFacts(r.Record); err != nil {
			return export{}, fmt.Errorf("the record of %s: %w", r.UDID, err)
		}
	}
	return e, nil
}

// check says what keeps a record from working; nil if nothing is seen. It quotes
// nothing of it.
func (f recordFacts) check() error {
	for _, part := range []struct {
		name string
		data []byte
	}{
		{"DeviceCertificate", f.DeviceCertificate}, {"HostCertificate", f.HostCertificate},
		{"HostPrivateKey", f.HostPrivateKey}, {"RootCertificate", f.RootCertificate},
	} {
		if block, _ := pem.Decode(part.data); block == nil {
			return fmt.Errorf("its %s is missing or damaged: export it again, or use \"muxctl trust\"", part.name)
		}
	}
	if _, err := tls.X509KeyPair(f.HostCertificate, f.HostPrivateKey); err != nil {
		return errors.New("its key and certificate do not belong together: export it again, or use \"muxctl trust\"")
	}
	return nil
}

// keys are the flags that say what a file is sealed with.
type keys struct {
	recipients     []string
	identities     []string
	passphraseFile string
}

// sealers are what to seal for: recipients, else a passphrase.
func (a *app) sealers(k keys) ([]age.Recipient, error) {
	if len(k.recipients) > 0 {
		if k.passphraseFile != "" {
			return nil, usagef("either --recipient or --passphrase-file")
		}
		var all []age.Recipient
		for _, r := range k.recipients {
			parsed, err := age.ParseRecipients(strings.NewReader(r))
			if err != nil {
				return nil, usagef("recipient %.80q is no age public key (age1...): make one with age-keygen", r)
			}
			all = append(all, parsed...)
		}
		return all, nil
	}
	p, err := a.passphrase(k.passphraseFile, true)
	if err != nil {
		return nil, err
	}
	r, err := age.NewScryptRecipient(p)
	if err != nil {
		return nil, err
	}
	r.SetWorkFactor(a.workFactor)
	return []age.Recipient{r}, nil
}

// openers are what to unseal a file with.
func (a *app) openers(k keys, sealed []byte) ([]age.Identity, error) {
	if needsPassphrase(sealed) {
		p, err := a.passphrase(k.passphraseFile, false)
		if err != nil {
			return nil, err
		}
		i, err := age.NewScryptIdentity(p)
		if err != nil {
			return nil, err
		}
		i.SetMaxWorkFactor(workFactor + 2)
		return []age.Identity{i}, nil
	}
	if len(k.identities) == 0 {
		return nil, usagef("the file is sealed for an age key: give --identity FILE with its secret half")
	}
	var all []age.Identity
	for _, name := range k.identities {
		b, err := readBounded(name, 1<<20)
		if err != nil {
			return nil, err
		}
		parsed, err := age.ParseIdentities(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("%s holds no age secret key: give what age-keygen has written", name)
		}
		all = append(all, parsed...)
	}
	return all, nil
}

// passphrase reads one: the first line of a file, or from the terminal, twice if
// it is new.
func (a *app) passphrase(file string, fresh bool) (string, error) {
	if file != "" {
		f := a.stdin
		if file != "-" {
			opened, err := os.Open(file)
			if err != nil {
				return "", err
			}
			defer opened.Close()
			f = opened
		}
		line, err := bufio.NewReader(io.LimitReader(f, 4<<10)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read %s: %w", file, err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return "", fmt.Errorf("the first line of %s is empty: write the passphrase there", file)
		}
		return line, nil
	}
	p, err := a.readPassword("Passphrase: ")
	if err != nil {
		return "", err
	}
	if p == "" {
		return "", errors.New("the passphrase is empty: type one")
	}
	if fresh {
		again, err := a.readPassword("Again: ")
		if err != nil {
			return "", err
		}
		if again != p {
			return "", errors.New("the passphrases differ: try again")
		}
	}
	return p, nil
}

// readBounded reads a file of at most n bytes.
func readBounded(name string, n int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, n+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > n {
		return nil, fmt.Errorf("%s is larger than %s: give what \"muxctl records export\" has written", name, bytesText(uint64(n)))
	}
	return b, nil
}
