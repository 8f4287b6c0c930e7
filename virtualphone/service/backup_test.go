package service

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"gomuxd/plist"
)

// Requests of a host, in XML.
var (
	hello = linkRequest(`<key>MessageName</key><string>Hello</string>
		<key>SupportedProtocolVersions</key><array><real>2.0</real><real>2.1</real></array>`)
	backupRequest  = linkRequest(`<key>MessageName</key><string>Backup</string><key>TargetIdentifier</key><string>P</string>`)
	restoreRequest = linkRequest(`<key>MessageName</key><string>Restore</string><key>TargetIdentifier</key><string>P</string>`)
)

func linkRequest(body string) string {
	return framed("<plist><array><string>DLMessageProcessMessage</string><dict>" + body + "</dict></array></plist>")
}

// backupHost is a host with a disk in memory. It does what the phone orders.
type backupHost struct {
	t    *testing.T
	c    net.Conn
	disk map[string]string // by path; folders end in "/"
	free uint64            // bytes
	deny string            // orders of this name fail
	seen map[string]int    // orders by name
}

// newBackupHost connects to b and says hello.
func newBackupHost(t *testing.T, b *Backup) *backupHost {
	t.Helper()
	h := &backupHost{t: t, c: start(t, b.Serve), disk: map[string]string{}, free: 1 << 40, seen: map[string]int{}}
	h.connect()
	return h
}

func (h *backupHost) connect() {
	h.t.Helper()
	if m := h.receive(); m[0] != dlVersionExchange || m[1] != uint64(300) {
		h.t.Fatalf("want the version, got %v", m)
	}
	h.send(dlVersionExchange, dlVersionsOK, 300)
	if m := h.receive(); m[0] != dlDeviceReady {
		h.t.Fatalf("want ready, got %v", m)
	}
	if a := h.ask(map[string]any{"MessageName": "Hello", "SupportedProtocolVersions": []float64{2.0, 2.1}}); a["ProtocolVersion"] != 2.1 {
		h.t.Fatalf("want version 2.1, got %v", a)
	}
}

func (h *backupHost) send(args ...any) {
	h.t.Helper()
	if err := WritePlist(h.c, args, true); err != nil {
		h.t.Fatal(err)
	}
}

func (h *backupHost) receive() []any {
	h.t.Helper()
	var m []any
	if _, err := ReadPlist(h.c, &m); err != nil {
		h.t.Fatal(err)
	}
	return m
}

// request asks for a backup, restore or the like, with options.
func (h *backupHost) request(name string, options map[string]any) map[string]any {
	h.t.Helper()
	return h.ask(map[string]any{"MessageName": name, "TargetIdentifier": "P", "Options": options})
}

// ask sends a request and carries out orders until it is answered.
func (h *backupHost) ask(m map[string]any) map[string]any {
	h.t.Helper()
	h.send(dlProcessMessage, m)
	for {
		m := h.receive()
		name := m[0].(string)
		h.seen[name]++
		switch {
		case name == dlProcessMessage:
			return m[1].(map[string]any)
		case name == dlUploadFiles:
			h.store()
		case name == dlDownloadFiles:
			h.load(m[1].([]any))
		case name != h.deny:
			h.send(dlStatusResponse, 0, dlEmpty, h.obey(name, m[1:]))
			continue
		}
		if name == h.deny {
			h.send(dlStatusResponse, -1, "not here", map[string]any{})
		} else {
			h.send(dlStatusResponse, 0, dlEmpty, map[string]any{})
		}
	}
}

func (h *backupHost) obey(name string, args []any) any {
	h.t.Helper()
	switch name {
	case dlFreeDiskSpace:
		return h.free
	case dlContents:
		list := map[string]any{}
		for p := range h.disk {
			if rest, ok := strings.CutPrefix(p, args[0].(string)+"/"); ok && rest != "" {
				list[strings.Split(rest, "/")[0]] = map[string]any{"DLFileType": "DLFileTypeUnknown", "DLFileSize": 0}
			}
		}
		return list
	case dlCreateDirectory:
		h.disk[args[0].(string)+"/"] = ""
	case dlMoveItems:
		for from, to := range args[0].(map[string]any) {
			content, ok := h.disk[from]
			if _, folder := h.disk[path.Dir(to.(string))+"/"]; !ok || !folder {
				h.t.Errorf("cannot move %s to %s", from, to)
			}
			delete(h.disk, from)
			h.disk[to.(string)] = content
		}
	case dlRemoveItems:
		for _, p := range args[0].([]any) {
			if _, ok := h.disk[p.(string)]; !ok && h.disk[p.(string)+"/"] != "" {
				h.t.Errorf("cannot remove %s", p)
			}
			maps.DeleteFunc(h.disk, func(name, _ string) bool {
				return name == p || strings.HasPrefix(name, p.(string)+"/")
			})
		}
	case dlCopyItem:
		for p, content := range maps.Clone(h.disk) {
			if rest, ok := strings.CutPrefix(p, args[0].(string)+"/"); ok {
				h.disk[args[1].(string)+"/"+rest] = content
			}
		}
	default:
		h.t.Fatalf("order %q", name)
	}
	return map[string]any{}
}

// store takes what the phone sends.
func (h *backupHost) store() {
	h.t.Helper()
	files, err := readUpload(h.c)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := h.disk[path.Dir(f.path)+"/"]; !ok {
			h.t.Errorf("no folder for %s", f.path)
		}
		h.disk[f.path] = f.content
	}
}

// readUpload is the host's end of the stream that a fileWriter writes.
func readUpload(r io.Reader) (files []gotFile, err error) {
	next := func(n uint32) string {
		b := make([]byte, n)
		if err == nil {
			_, err = io.ReadFull(r, b)
		}
		return string(b)
	}
	word := func() (n uint32) {
		if b := next(4); err == nil {
			n = binary.BigEndian.Uint32([]byte(b))
		}
		return n
	}
	for err == nil {
		if next(word()) == "" {
			return files, err
		}
		f := gotFile{path: next(word())}
		for err == nil {
			n := word()
			code := next(1)
			if code != "\x0c" {
				break
			}
			f.content += next(n - 1)
		}
		files = append(files, f)
	}
	return files, err
}

// load sends what the phone asks for, in odd blocks.
func (h *backupHost) load(names []any) {
	h.t.Helper()
	var out bytes.Buffer
	block := func(code byte, b string) {
		out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b)+1)))
		out.WriteByte(code)
		out.WriteString(b)
	}
	for _, name := range names {
		name := name.(string)
		out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(name))))
		out.WriteString(name)
		content, ok := h.disk[name]
		if !ok {
			block(blockLocalError, "No such file or directory")
			continue
		}
		for piece := range slices.Chunk([]byte(content), 32769) {
			block(blockData, string(piece))
		}
		block(blockSuccess, "")
	}
	out.Write([]byte{0, 0, 0, 0})
	if _, err := h.c.Write(out.Bytes()); err != nil {
		h.t.Fatal(err)
	}
}

// newTestBackup returns the backups of a phone with some files, and a host.
func newTestBackup(t *testing.T, cfg BackupConfig) (*Backup, *backupHost) {
	t.Helper()
	b := NewBackup(cfg)
	if err := b.SetContent(70, 1<<20); err != nil {
		t.Fatal(err)
	}
	return b, newBackupHost(t, b)
}

// wantCode checks an answer's error code and that its description has text.
func wantCode(t *testing.T, answer map[string]any, code uint64, text string) {
	t.Helper()
	description, _ := answer["ErrorDescription"].(string)
	if answer["ErrorCode"] != code || !strings.Contains(description, text) || answer["MessageName"] != "Response" {
		t.Fatalf("want code %d with %q, got %v", code, text, answer)
	}
}

func TestBackupAndRestore(t *testing.T) {
	b, h := newTestBackup(t, BackupConfig{Info: phoneInfo})
	wantCode(t, h.request("Backup", map[string]any{"ForceFullBackup": true}), 0, "")
	files, size := 0, 0
	for p, content := range h.disk {
		if strings.Contains(p, snapshotName) {
			t.Errorf("%s is left over", p)
		}
		if rest := strings.TrimPrefix(p, "P/"); len(rest) == 43 && rest[:2] == rest[3:5] {
			files++
			size += len(content)
		}
	}
	if files != 70 || size != 1<<20 {
		t.Errorf("want 70 files of %d bytes, got %d of %d", 1<<20, files, size)
	}
	var status, props map[string]any
	if err := plist.Unmarshal([]byte(h.disk["P/Status.plist"]), &status); err != nil || status["SnapshotState"] != "finished" || status["IsFullBackup"] != true {
		t.Errorf("want a finished full backup, got %v, %v", status, err)
	}
	if err := plist.Unmarshal([]byte(h.disk["P/Manifest.plist"]), &props); err != nil || props["IsEncrypted"] != false || props["Lockdown"].(map[string]any)["ProductType"] != "iPhone14,5" {
		t.Errorf("want the phone's properties, got %v, %v", props, err)
	}

	wantCode(t, h.request("Restore", map[string]any{"RestoreDontCopyBackup": true}), 0, "")
	if h.seen[dlCopyItem] != 0 {
		t.Error("the backup was copied")
	}
	wantCode(t, h.request("Restore", nil), 0, "")
	if h.disk["P-copy/Manifest.plist"] == "" {
		t.Error("the backup was not copied")
	}
	want := BackupStats{Backups: 1, SavedFiles: 70, SavedBytes: 1 << 20, Restores: 2, RestoredFiles: 140, RestoredBytes: 2 << 20}
	if got := b.Stats(); got != want {
		t.Errorf("want %+v, got %+v", want, got)
	}

	a := h.request("List", nil)
	wantCode(t, a, 0, "")
	if n := strings.Count(a["Content"].(string), "\n"); n != 70 {
		t.Errorf("want 70 lines, got %d", n)
	}
	a = h.request("Info", nil)
	if !strings.Contains(a["Content"].(string), "Bytes: 1048576") {
		t.Errorf("want the number of bytes, got %v", a)
	}
}

func TestIncrementalBackup(t *testing.T) {
	b, h := newTestBackup(t, BackupConfig{})
	wantCode(t, h.request("Backup", nil), 0, "")
	wantCode(t, h.request("Backup", nil), 0, "")
	if n := b.Stats(); n.SavedFiles != 70 || n.Backups != 2 {
		t.Errorf("want nothing saved twice, got %+v", n)
	}
	// Other sizes for some, and fewer.
	if err := b.SetContent(60, 2<<20); err != nil {
		t.Fatal(err)
	}
	h.disk["P/Snapshot/left"] = "over"
	wantCode(t, h.request("Backup", nil), 0, "")
	saved := 0
	for p := range h.disk {
		if len(p) == len("P/")+43 {
			saved++
		}
	}
	if n := b.Stats(); n.SavedFiles != 70+60-uint64(len(edgeSizes)) || saved != 60 {
		t.Errorf("want 60 files there and the edges not saved again, got %d, %+v", saved, n)
	}
	wantCode(t, h.request("Restore", nil), 0, "")
	wantCode(t, h.request("Backup", map[string]any{"ForceFullBackup": true}), 0, "")
	if n := b.Stats(); n.SavedFiles != 70+60-uint64(len(edgeSizes))+60 {
		t.Errorf("want all saved again, got %+v", n)
	}
	// What cannot be read is saved anew.
	h.disk["P/Status.plist"] = "no plist"
	wantCode(t, h.request("Backup", nil), 0, "")
	wantCode(t, h.request("Restore", nil), 0, "")
}

// TestRestoreFindsErrors damages one thing in a backup; the next restore names it, and
// the one after that, undamaged, is fine again.
func TestRestoreFindsErrors(t *testing.T) {
	b, h := newTestBackup(t, BackupConfig{})
	wantCode(t, h.request("Backup", nil), 0, "")
	content := b.content()
	some := content[40]
	name := "P/" + some.place()
	damaged := []byte(h.disk[name])
	damaged[len(damaged)-1] ^= 1
	unfinished, err := plist.MarshalXML(map[string]any{"SnapshotState": stateUploading})
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := plist.MarshalXML(map[string]any{"IsEncrypted": true})
	if err != nil {
		t.Fatal(err)
	}
	manifest := h.disk["P/Manifest.mbdb"]
	for _, tt := range []struct {
		name, file, content string // "" = removed
		code                uint64
		text                string
	}{
		{"bit", name, string(damaged), 205, fmt.Sprintf("byte %d", len(damaged)-1)},
		{"short", name, string(damaged[:len(damaged)-1]), 205, fmt.Sprintf("%d bytes, want %d", some.size-1, some.size)},
		{"long", name, h.disk[name] + "x", 205, "Error restoring"},
		{"gone", name, "", 4, "No such file"},
		{"no status", "P/Status.plist", "", 4, "Status.plist"},
		{"unfinished", "P/Status.plist", string(unfinished), 205, "uploading"},
		{"no plist", "P/Manifest.plist", "x", 205, "Manifest.plist"},
		{"encrypted", "P/Manifest.plist", string(encrypted), 205, "encrypted"},
		{"no manifest", "P/Manifest.mbdb", "x", 205, "Manifest.mbdb"},
		{"cut manifest", "P/Manifest.mbdb", manifest[:len(manifest)-1], 205, "within a record"},
		{"large manifest", "P/Manifest.mbdb", manifest + strings.Repeat("x", maxManifest), 205, "larger than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			whole := h.disk[tt.file]
			if h.disk[tt.file] = tt.content; tt.content == "" {
				delete(h.disk, tt.file)
			}
			wantCode(t, h.request("Restore", nil), tt.code, tt.text)
			h.disk[tt.file] = whole
		})
	}
	if n := b.Stats(); n.Failed != 11 || n.Restores != 0 {
		t.Errorf("want 11 failures, got %+v", n)
	}
	wantCode(t, h.request("Restore", nil), 0, "")
}

func TestBackupRefused(t *testing.T) {
	var asked []bool
	b, h := newTestBackup(t, BackupConfig{Allow: func(_ context.Context, restore bool) error {
		asked = append(asked, restore)
		return ErrDeviceLocked
	}})
	wantCode(t, h.request("Backup", nil), 208, "Device locked (MBErrorDomain/208)")
	wantCode(t, h.request("Restore", nil), 208, "Device locked")
	if n := b.Stats(); n.Refused != 2 || n.Failed != 0 || !slices.Equal(asked, []bool{false, true}) || len(h.disk) != 0 {
		t.Errorf("want both refused, got %+v, asked %v, %d files", n, asked, len(h.disk))
	}
}

func TestBackupFails(t *testing.T) {
	_, h := newTestBackup(t, BackupConfig{})
	h.free = 1000
	wantCode(t, h.request("Backup", nil), 105, "Insufficient free disk space")
	h.free = 1 << 40
	h.deny = dlUploadFiles
	wantCode(t, h.request("Backup", nil), 104, "uploading files")
	h.deny = dlMoveItems
	wantCode(t, h.request("Backup", nil), 1, "not here")
	h.deny = ""
	wantCode(t, h.request("Backup", nil), 0, "")
	wantCode(t, h.request("Unback", nil), 1, "not supported")
	wantCode(t, h.ask(map[string]any{"MessageName": "Backup", "TargetIdentifier": "../../etc"}), 1, "No folder")
	wantCode(t, h.ask(map[string]any{"MessageName": "Hello", "SupportedProtocolVersions": []float64{1.6}}), 1, "None of the protocol versions")
	h.send(dlDisconnect, dlEmpty)
	wantEOF(t, h.c)
}

// TestRestoreReboots asserts that the phone restarts after the host has hung up, unless
// the host does not want it or something went wrong.
func TestRestoreReboots(t *testing.T) {
	rebooted := make(chan struct{}, 1)
	_, h := newTestBackup(t, BackupConfig{Reboot: func() { rebooted <- struct{}{} }})
	wantCode(t, h.request("Restore", map[string]any{"RestoreShouldReboot": true}), 4, "")
	wantCode(t, h.request("Backup", nil), 0, "")
	wantCode(t, h.request("Restore", map[string]any{"RestoreShouldReboot": false}), 0, "")
	wantCode(t, h.request("Restore", map[string]any{"RestoreShouldReboot": true}), 0, "")
	wantCode(t, h.request("Restore", nil), 0, "")
	select {
	case <-rebooted:
		t.Fatal("rebooted under the host's feet")
	default:
	}
	h.c.Close()
	select {
	case <-rebooted:
	case <-time.After(10 * time.Second):
		t.Fatal("not rebooted")
	}
}

// TestBackupHandlersEnd ends the services around a backup by their context, by the
// host's close and in the middle of a message.
func TestBackupHandlersEnd(t *testing.T) {
	for name, h := range map[string]Handler{
		"backup":       NewBackup(BackupConfig{}).Serve,
		"installation": Installation(SampleApps),
		"springboard":  SpringBoard(SampleApps),
	} {
		t.Run(name+"/context", func(t *testing.T) { start(t, h) })
		t.Run(name+"/close", func(t *testing.T) { start(t, h).Close() })
		t.Run(name+"/half", func(t *testing.T) {
			host := start(t, h)
			go io.Copy(io.Discard, host) // ends with the handler, which closes the pipe
			host.Write([]byte{0, 0, 0})
			host.Close()
		})
	}
}

func TestBackupContent(t *testing.T) {
	for _, tt := range []struct {
		files int
		size  uint64
	}{{1, 0}, {1, 5}, {8, 1 << 20}, {9, 1 << 20}, {200, 16 << 20}, {300, 100 << 20}, {MaxBackupFiles, 3}, {50, MaxBackupBytes}} {
		b := NewBackup(BackupConfig{})
		if err := b.SetContent(tt.files, tt.size); err != nil {
			t.Fatal(err)
		}
		var size uint64
		ids := make(map[string]bool)
		for _, f := range b.content() {
			size += f.size
			ids[f.id()] = true
		}
		if size != tt.size || len(ids) != tt.files {
			t.Errorf("want %+v, got %d files of %d bytes", tt, len(ids), size)
		}
		again, err := parseManifest(appendManifest(nil, b.content()))
		if err != nil || !slices.Equal(again, b.content()) {
			t.Errorf("%+v: the manifest does not come back: %v", tt, err)
		}
	}
	for _, tt := range []struct {
		files int
		size  uint64
	}{{0, 0}, {-1, 1}, {MaxBackupFiles + 1, 1}, {1, MaxBackupBytes + 1}} {
		if err := NewBackup(BackupConfig{}).SetContent(tt.files, tt.size); err == nil {
			t.Errorf("want an error for %+v", tt)
		}
	}
}

func TestManifestWire(t *testing.T) {
	want := unhex(t, "6d6264620500"+
		"000a 486f6d65446f6d61696e 0003 612f62 ffff ffff ffff"+
		"81a4 0000000000000001 000001f5 000001f5 6553f100 6553f100 6553f100 0000000000000007 03 00")
	files := []backupFile{{domain: "HomeDomain", path: "a/b", size: 7, mtime: 1_700_000_000}}
	if got := string(appendManifest(nil, files)); got != want {
		t.Errorf("want %x\n got %x", want, got)
	}
	// The name that phones give this file, as published for it.
	known := backupFile{domain: "HomeDomain", path: "Library/SMS/sms.db"}
	if id := known.id(); id != "3d0d7e5fb2ce288813306e4d4636395e047a3d28" {
		t.Errorf("name of the message store is %s", id)
	}
	// Other writers have hashes, keys and properties.
	got, err := parseManifest([]byte(unhex(t, "6d6264620500 0001 44 0001 70 0000 0002 6868 ffff"+
		"81a4 0000000000000001 000001f5 000001f5 00000009 00000000 00000000 0000000000000007 04 01 0001 6e 0001 76")))
	if err != nil || !slices.Equal(got, []backupFile{{domain: "D", path: "p", size: 7, mtime: 9}}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// FuzzManifest reads foreign manifests: what is understood comes back when it is
// written and read again, and takes no more records than there are bytes for.
func FuzzManifest(f *testing.F) {
	f.Add(appendManifest(nil, makeBackupFiles(3, 100)))
	f.Add([]byte(mbdbMagic))
	f.Fuzz(func(t *testing.T, in []byte) {
		files, err := parseManifest(in)
		if err != nil {
			return
		}
		if len(files) > len(in)/mbdbFixed {
			t.Fatalf("%d records from %d bytes", len(files), len(in))
		}
		again, err := parseManifest(appendManifest(nil, files))
		if err != nil || !slices.Equal(again, files) {
			t.Fatalf("want %v, got %v, %v", files, again, err)
		}
	})
}
