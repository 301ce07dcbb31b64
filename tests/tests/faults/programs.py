"""Programs that check what they do: one per kind, each in its own folder of the share.

What the server has acknowledged goes to a mirror on the local disk; at the end both must be equal. Each operation is
told in a line (`doing`, `did`), each error that the program can live with too (`saw`); any other ends it.
"""
import collections, errno, fcntl, os, random, sqlite3, sys, time, zlib

kind, seed, here, mirror, stop = sys.argv[1:6]
chance = random.Random(f'{seed} {kind} {mirror}')
FULL = (errno.ENOSPC, errno.EDQUOT)
# Whoever only looks is told after a while that the server is away, and asks again.
AGAIN = (errno.EHOSTDOWN,)


def say(*words):
    print(*words, flush=True)


def stopped():
    return os.path.exists(stop)


def check(right, *words):
    if not right:
        raise AssertionError(' '.join(map(str, words)))


def saw(error, what):
    say('saw', errno.errorcode.get(error.errno, error.errno), what)


def do(what, work, *arguments, again=()):
    """Does it; after an error in `again`, and where nothing was done but looking, anew."""
    while True:
        say('doing', what)
        try:
            result = work(*arguments)
        except OSError as error:
            if error.errno not in (*again, *AGAIN):
                raise
            saw(error, what)
            time.sleep(0.2)
        else:
            say('did', what)
            return result


def write_all(f, data, offset=None):
    while data:
        n = os.write(f, data) if offset is None else os.pwrite(f, data, offset)
        check(n > 0, 'nothing was written')
        data, offset = data[n:], None if offset is None else offset + n


def abandon(f, error, what):
    """The disk is full: what is in the file is unknown."""
    saw(error, what)
    try:
        os.close(f)
    except OSError as error:
        if error.errno not in FULL:
            raise
        saw(error, 'close')
    time.sleep(0.2)


def read_all(f, size):
    data = b''
    while piece := os.pread(f, size + 1 - len(data), len(data)):
        data += piece
    return data


class Image:
    """A file at random, and what must be in it."""

    def __init__(self, name):
        self.name = name
        # What was done last, for whoever wants to know why it differs.
        self.past = collections.deque(maxlen=40)
        self.fresh()

    def fresh(self):
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
        self.file = do('open', os.open, f'{here}/{self.name}', flags, again=FULL)
        self.data = bytearray()
        self.past.append(('fresh',))

    def step(self):
        try:
            getattr(self, chance.choice(['write'] * 5 + ['truncate', 'read', 'read', 'sync', 'reopen']))()
        except OSError as error:
            if error.errno not in FULL:
                raise
            abandon(self.file, error, 'image')
            self.fresh()

    def write(self):
        offset, size = chance.randrange(1 << 20), chance.randrange(1, 1 << 16)
        self.past.append(('write', offset, offset + size))
        data = chance.randbytes(size)
        do('pwrite', write_all, self.file, data, offset)
        if len(self.data) < offset + size:
            self.data.extend(bytes(offset + size - len(self.data)))
        self.data[offset:offset + size] = data

    def truncate(self):
        size = chance.randrange(1 << 20)
        self.past.append(('truncate', len(self.data), size))
        do('ftruncate', os.ftruncate, self.file, size)
        del self.data[size:]
        self.data.extend(bytes(size - len(self.data)))

    def read(self):
        found = do('pread', read_all, self.file, len(self.data))
        if found != self.data:
            # Where the disk is full, what was written may be gone before anybody could be told: now is the time.
            os.fsync(self.file)
            differs = [i for i, (a, b) in enumerate(zip(found, self.data)) if a != b]
            range = differs and (differs[0], differs[-1] + 1, len(differs))
            print(*self.past, file=sys.stderr, sep='\n')
            print('zeros:', found[slice(*range[:2])].count(0) if range else 0, file=sys.stderr)
            print('by stat:', os.fstat(self.file).st_size, file=sys.stderr)
            check(False, self.name, 'differs in', range, 'of', len(self.data), 'read', len(found))

    def sync(self):
        self.past.append(('fsync',))
        do('fsync', os.fsync, self.file)

    def reopen(self):
        self.past.append(('reopen',))
        file, self.file = self.file, -1
        try:
            do('close', os.close, file)
        finally:
            # Whatever close said, the number is no more.
            self.file = do('open', os.open, f'{here}/{self.name}', os.O_RDWR)
        self.read()


def image():
    images = [Image(name) for name in 'abc']
    while not stopped():
        chance.choice(images).step()
    for one in images:
        while True:
            try:
                one.read()
                one.sync()
                do('close', os.close, one.file)
                break
            except OSError as error:
                if error.errno not in FULL:
                    raise
                abandon(one.file, error, 'image')
                one.fresh()
        with open(f'{mirror}/{one.name}', 'wb') as f:
            f.write(one.data)


def records():
    path, known = f'{here}/log', open(f'{mirror}/log', 'wb', buffering=0)
    f, length, number = do('open', os.open, path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 0, 0
    while not stopped():
        text = b'%d %d ' % (number, chance.getrandbits(64)) * chance.randrange(1, 200)
        record = b'%08x %s\n' % (zlib.crc32(text), text)
        try:
            do('append', write_all, f, record)
            do('fsync', os.fsync, f)
            if chance.randrange(10) == 0:
                file, f = f, -1
                try:
                    do('close', os.close, file)
                finally:
                    f = do('open', os.open, path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            if error.errno not in FULL:
                raise
            abandon(f, error, 'append')
            f = do('open', os.open, path, os.O_WRONLY | os.O_APPEND)
            do('ftruncate', os.ftruncate, f, length, again=FULL)
            do('fsync', os.fsync, f, again=FULL)
            continue
        known.write(record)
        length, number = length + len(record), number + 1
    do('close', os.close, f)
    say('acknowledged', number)


def make(path, text):
    f = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        write_all(f, text)
    except OSError:
        abandon_quietly(f)
        raise
    os.close(f)


def abandon_quietly(f):
    try:
        os.close(f)
    except OSError:
        pass


def names():
    """The mirror is the model: what is done here is done there."""
    number = 0
    for name in 'xyz':
        do('mkdir', os.mkdir, f'{here}/{name}', again=FULL)
        os.mkdir(f'{mirror}/{name}')
    def any_name():
        return f'{chance.choice("xyz")}/n{chance.randrange(8)}'
    while not stopped():
        name, other = any_name(), any_name()
        is_there, number = os.path.lexists(f'{mirror}/{name}'), number + 1
        what = chance.choice(['make', 'make', 'make', 'rename', 'rename', 'unlink', 'list', 'mkdir'])
        if what == 'make':
            try:
                do('create', make, f'{here}/{name}', b'%d' % number)
            except FileExistsError:
                check(is_there, f'{name} was there though it was not, or was created twice')
            except OSError as error:
                if error.errno not in FULL:
                    raise
                saw(error, 'create')
                if not is_there and do('stat', os.path.lexists, f'{here}/{name}'):
                    do('unlink', os.unlink, f'{here}/{name}')
            else:
                check(not is_there, f'{name} was created over another')
                make(f'{mirror}/{name}', b'%d' % number)
        elif what == 'rename' and name != other:
            try:
                do('rename', os.rename, f'{here}/{name}', f'{here}/{other}', again=FULL)
            except FileNotFoundError:
                check(not is_there, f'{name} was not there to be renamed, or was renamed twice')
            else:
                check(is_there, f'{name} was renamed and was not there')
                os.rename(f'{mirror}/{name}', f'{mirror}/{other}')
        elif what == 'unlink':
            try:
                do('unlink', os.unlink, f'{here}/{name}', again=FULL)
            except FileNotFoundError:
                check(not is_there, f'{name} was not there to be removed, or was removed twice')
            else:
                check(is_there, f'{name} was removed and was not there')
                os.unlink(f'{mirror}/{name}')
        elif what == 'mkdir':
            try:
                do('mkdir', os.mkdir, f'{here}/d', again=FULL)
                do('rmdir', os.rmdir, f'{here}/d', again=FULL)
            except (FileExistsError, FileNotFoundError) as error:
                check(False, 'a directory was made or removed twice', error)
        elif what == 'list':
            name = chance.choice('xyz')
            found = sorted(do('listdir', os.listdir, f'{here}/{name}'))
            known = sorted(os.listdir(f'{mirror}/{name}'))
            check(found == known, f'{name} lists {found} and should list {known}')


def locks():
    """Two of these share one file. A number in it grows only under a lock."""
    path = f'{here}/number'
    f, done, uncertain = do('open', os.open, path, os.O_RDWR | os.O_CREAT, again=FULL), 0, 0
    while not stopped():
        wrote = False
        try:
            do('lock', fcntl.lockf, f, fcntl.LOCK_EX, 100)
            number = int(do('pread', os.pread, f, 20, 0) or b'0')
            wrote = True
            do('pwrite', write_all, f, b'%012d' % (number + 1), 0)
            do('fsync', os.fsync, f)
            done, wrote = done + 1, False
            do('unlock', fcntl.lockf, f, fcntl.LOCK_UN, 100)
        except OSError as error:
            # A lock that was lost with the connection and is another's now: only this open is spoilt.
            if error.errno not in FULL + (errno.ESTALE,):
                raise
            uncertain += wrote
            saw(error, 'lock')
            abandon_quietly(f)
            f = do('open', os.open, path, os.O_RDWR, again=FULL)
        time.sleep(0.01)
    abandon_quietly(f)
    with open(f'{mirror}/done', 'w') as f:
        f.write(f'{done} {uncertain}')


def sqlite():
    def connect():
        db = sqlite3.connect(f'{here}/db', timeout=60, isolation_level=None)
        db.execute('pragma synchronous = full')
        return db
    def count(db):
        return db.execute('select count(*), max(n) from t').fetchone()
    def insert(db, n):
        db.execute('begin immediate')
        db.execute('insert into t values (?)', (n,))
        db.execute('commit')
    db, done = connect(), 0
    db.execute('create table t (n integer primary key)')
    while not stopped():
        try:
            do('transaction', insert, db, done + 1)
            done += 1
        except sqlite3.Error as error:
            name = getattr(error, 'sqlite_errorname', None) or 'SQLITE'
            if name != 'SQLITE_FULL' and not name.startswith('SQLITE_IOERR'):
                raise
            say('saw', name, 'transaction')
            while True:
                try:
                    db.close()
                    time.sleep(0.2)
                    db = connect()
                    found, last = count(db)
                    break
                except sqlite3.Error as error:
                    say('saw', getattr(error, 'sqlite_errorname', None) or 'SQLITE', 'count')
            check(found in (done, done + 1), 'there are', found, 'rows after', done)
            done = found
        time.sleep(0.005)
    check(db.execute('pragma integrity_check').fetchone() == ('ok',), 'the database is not whole')
    check(count(db) == (done, done or None), 'there are', count(db), 'rows after', done)
    db.close()
    with open(f'{mirror}/rows', 'w') as f:
        f.write(str(done))


try:
    {'image': image, 'records': records, 'names': names, 'locks': locks, 'sqlite': sqlite}[kind]()
except BaseException as error:
    import traceback
    traceback.print_exc()
    if isinstance(error, OSError):
        saw(error, 'and ended')
    say('failed', kind, repr(error).replace('\n', ' '))
    sys.exit(1)
say('ended')
