package service

import "strconv"

// carryOut does what p asks for and answers it. Its error is one of the connection.
func (s *afcSession) carryOut(p packet, a *args) error {
	switch p.op {
	case opReadDir:
		list, st := s.fs.list(a.str())
		if a.bad || st != statusOK {
			return s.answerStatus(p, a.or(st))
		}
		return s.answerList(p, list)
	case opFileInfo:
		i, st := s.fs.stat(a.str())
		if a.bad || st != statusOK {
			return s.answerStatus(p, a.or(st))
		}
		return s.answerList(p, i.pairs())
	case opDeviceInfo:
		return s.answerList(p, s.fs.pairs())
	case opFileOpen:
		mode, path := openMode(a.num()), a.str()
		if a.bad {
			return s.answerStatus(p, statusInvalidArg)
		}
		return s.open(p, path, mode)
	case opFileRead, opFileSeek, opFileTell, opFileClose, opFileSetSize, opFileLock:
		return s.carryOutOnHandle(p, a)
	}
	return s.answerStatus(p, s.carryOutOnPath(p.op, a))
}

// carryOutOnPath does what changes the tree, which is answered with a status.
func (s *afcSession) carryOutOnPath(op operation, a *args) status {
	var do func() status
	switch op {
	case opMakeDir:
		path := a.str()
		do = func() status { return s.fs.mkdir(path) }
	case opRemovePath, opRemoveAll:
		path := a.str()
		do = func() status { return s.fs.remove(path, op == opRemoveAll) }
	case opRename:
		from, to := a.str(), a.str()
		do = func() status { return s.fs.rename(from, to) }
	case opTruncate:
		size, path := a.num(), a.str()
		do = func() status { return s.fs.truncate(path, size) }
	case opSetTime:
		ns, path := a.num(), a.str()
		do = func() status { return s.fs.setTime(path, int64(ns)) }
	case opMakeLink:
		kind, target, path := a.num(), a.str(), a.str()
		switch kind {
		case linkHard:
			do = func() status { return s.fs.link(target, path) }
		case linkSymbolic:
			do = func() status { return s.fs.symlink(target, path) }
		default:
			return statusInvalidArg
		}
	case opSetOptions, opSetFSBlock, opSetSockBlock:
		return statusOK // hints about buffer sizes
	default:
		return statusNotSupported
	}
	if a.bad {
		return statusInvalidArg
	}
	return do()
}

// open answers p with a handle on the file at path.
func (s *afcSession) open(p packet, path string, mode openMode) error {
	if len(s.handles) == maxHandles {
		return s.answerStatus(p, statusNoResources)
	}
	h, st := s.fs.open(path, mode)
	if st != statusOK {
		return s.answerStatus(p, st)
	}
	number := s.next
	s.next++
	s.handles[number] = h
	return s.answerNum(p, opFileOpenRes, number)
}

// carryOutOnHandle does what a packet asks of an open file. A handle that is not open
// is statusInvalidArg.
func (s *afcSession) carryOutOnHandle(p packet, a *args) error {
	number := a.num()
	h := s.handles[number]
	if h == nil {
		return s.answerStatus(p, statusInvalidArg)
	}
	var st status
	switch p.op {
	case opFileRead:
		n := a.num()
		if !a.bad && h.readable() {
			return s.read(p, h, n)
		}
		st = a.or(statusPermDenied)
	case opFileTell:
		return s.answerNum(p, opFileTellRes, h.pos)
	case opFileClose:
		h.close()
		delete(s.handles, number)
	case opFileSeek:
		whence, off := a.num(), int64(a.num())
		if st = a.or(statusOK); st == statusOK {
			st = h.seek(whence, off)
		}
	case opFileSetSize:
		size := a.num()
		if st = a.or(statusOK); st == statusOK {
			st = h.setSize(size)
		}
	case opFileLock:
		op := a.num()
		if st = a.or(statusOK); st == statusOK {
			st = h.setLock(op)
		}
	}
	return s.answerStatus(p, st)
}

// or returns statusInvalidArg if something was missing from a, else st.
func (a *args) or(st status) status {
	if a.bad {
		return statusInvalidArg
	}
	return st
}

// pairs returns i as AFC says it: keys and values in turn.
func (i info) pairs() []string {
	list := []string{
		"st_size", strconv.FormatUint(i.size, 10),
		"st_blocks", strconv.FormatUint((i.size+fsBlock-1)/fsBlock*(fsBlock/512), 10),
		"st_nlink", strconv.Itoa(i.links),
		"st_ifmt", string(i.kind),
		"st_mtime", strconv.FormatInt(i.mtime, 10),
		"st_birthtime", strconv.FormatInt(i.birth, 10),
	}
	if i.kind == kindLink {
		list = append(list, "LinkTarget", i.target)
	}
	return list
}

// pairs returns the device information: keys and values in turn.
func (f *FS) pairs() []string {
	return []string{
		"Model", f.Model,
		"FSTotalBytes", strconv.FormatInt(f.space.limit, 10),
		"FSFreeBytes", strconv.FormatInt(f.space.free(), 10),
		"FSBlockSize", strconv.Itoa(fsBlock),
	}
}
