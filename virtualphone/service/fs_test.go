package service

import (
	"bytes"
	"errors"
	"fmt"
	"image/jpeg"
	"sync"
	"testing"
)

func TestSampleContent(t *testing.T) {
	f := NewFS()
	list, st := f.list("/DCIM/100APPLE")
	if st != statusOK || len(list) != 2+samplePictures {
		t.Fatalf("want %d pictures, got %v, %v", samplePictures, list, st)
	}
	data, err := f.ReadFile("DCIM/100APPLE/IMG_0001.JPG")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jpeg.Decode(bytes.NewReader(data)); err != nil {
		t.Error(err)
	}
	if _, err := f.ReadFile("nothing"); !errors.Is(err, statusNotFound) {
		t.Errorf("want %v, got %v", statusNotFound, err)
	}
	if err := f.WriteFile("DCIM", nil); !errors.Is(err, statusIsDir) {
		t.Errorf("want %v, got %v", statusIsDir, err)
	}
}

// TestContentAgainstModel compares content with a plain slice over writes and cuts
// around the edges of chunks.
func TestContentAgainstModel(t *testing.T) {
	s := &space{limit: 8 * chunkSize}
	var c content
	var model []byte
	edges := []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize - 1, 3 * chunkSize}
	for i, off := range edges {
		for j, n := range edges[:5] {
			b := make([]byte, n)
			Fill(uint64(i*10+j), 0, b)
			if end, st := c.writeAt(s, b, uint64(off), false); st != statusOK || end != uint64(off+n) {
				t.Fatalf("write %d at %d: %d, %v", n, off, end, st)
			}
			if grow := off + n - len(model); grow > 0 && n > 0 {
				model = append(model, make([]byte, grow)...)
			}
			copy(model[min(off, len(model)):], b)
			cut := edges[(i+j)%len(edges)]
			if st := c.setSize(s, uint64(cut)); st != statusOK {
				t.Fatalf("cut to %d: %v", cut, st)
			}
			model = append(model[:min(cut, len(model)):min(cut, len(model))], make([]byte, max(0, cut-len(model)))...)
			got := make([]byte, len(model)+9)
			if got = got[:c.readAt(got, 0)]; !bytes.Equal(got, model) {
				t.Fatalf("after %d bytes at %d and a cut to %d the content differs", n, off, cut)
			}
		}
	}
	c.release(s)
	if s.free() != s.limit {
		t.Errorf("want all %d bytes free, got %d", s.limit, s.free())
	}
}

func TestContentHole(t *testing.T) {
	s := &space{limit: 2 * chunkSize}
	var c content
	if _, st := c.writeAt(s, []byte("end"), 2*chunkSize-3, false); st != statusOK {
		t.Fatal(st)
	}
	if want := int64(chunkSize); s.free() != want {
		t.Errorf("want %d bytes free beside the hole, got %d", want, s.free())
	}
	if end, st := c.writeAt(s, []byte("more"), 2*chunkSize-2, false); st != statusNoSpace || end != 2*chunkSize {
		t.Errorf("want no space at %d, got %v at %d", 2*chunkSize, st, end)
	}
}

// TestNodeLimit fills the tree with names.
func TestNodeLimit(t *testing.T) {
	f := emptyFS(1 << 20)
	made := 1 // the root
	for ; ; made++ {
		if st := f.mkdir(fmt.Sprint(made)); st == statusNoResources {
			break
		} else if st != statusOK {
			t.Fatal(st)
		}
	}
	if made != fsNodes {
		t.Errorf("want %d nodes, got %d", fsNodes, made)
	}
	if _, st := f.open("file", openWrite); st != statusNoResources {
		t.Errorf("want %v, got %v", statusNoResources, st)
	}
	if st := f.symlink("x", "link"); st != statusNoResources {
		t.Errorf("want %v, got %v", statusNoResources, st)
	}
	f.remove("1", false)
	if st := f.mkdir("again"); st != statusOK {
		t.Error(st)
	}
}

// TestFSConcurrently lets many hosts do everything in one directory; the race detector
// and the counts at the end judge.
func TestFSConcurrently(t *testing.T) {
	f := emptyFS(1 << 24)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 200 {
				a, b := fmt.Sprintf("/d/%d", i%5), fmt.Sprintf("/d/%d", (i+w)%5)
				f.mkdir("/d")
				if h, st := f.open(a, openMode(1+(i+w)%6)); st == statusOK {
					h.setLock(lockExclusive)
					h.write([]byte("some bytes"))
					h.seek(0, 0)
					h.read(make([]byte, 100))
					h.setSize(uint64(i))
					f.rename(a, b)
					h.close()
				}
				f.symlink(a, b)
				f.link(a, b)
				f.truncate(a, 70_000)
				f.stat(b)
				f.list("/d")
				f.setTime(a, 1)
				f.remove(b, false)
				if i%50 == 0 {
					f.remove("/d", true)
				}
			}
		})
	}
	wg.Wait()
	f.remove("/d", true)
	if f.nodes != 1 || f.space.used.Load() != 0 {
		t.Errorf("want only the root and no content, got %d nodes, %d bytes", f.nodes, f.space.used.Load())
	}
}
