package modes

// Facts are what a plan depends on beside settings and environment. Look gathers
// those that can be read; main adds the ones about the machine.
type Facts struct {
	Dir         string // the application's directory, absolute
	DirWritable bool
	ManagePy    bool
	Scripts     []string  // names of container-*.sh and entrypoint-*.sh in Dir
	Script      *Script   // that of the mode, if there is one
	Packages    []Package // the importable folders that hold an application; with --app that one alone
	Python      Python

	// What the application says itself, by its own files.
	SetsGraceful bool // gunicorn.conf.py sets graceful_timeout
	PumaConfig   bool // config/puma.rb is there
	SetsSchedule bool // beat_schedule_filename is set
	SetsBroker   bool // a broker's URL that is not the file system's

	Temp string // first writable of TMPDIR or /tmp, and /dev/shm; empty if there is none
	Home Home

	// From main.
	CPUs       float64 // what may be used: the limit, else the machine's
	Memory     int64   // the limit in bytes; 0 is none
	RuntimeDir string  // our own 0700 folder; empty if there is none
}

// Script is a mode's script.
type Script struct {
	Name     string
	Runnable bool   // has a run bit that counts for us
	Text     string // its beginning, up to maxScript bytes
}

// Package is an importable folder.
type Package struct {
	Name      string // dotted
	WSGI      bool   // wsgi.py
	CeleryApp bool   // celery_app.py
	Celery    bool   // celery.py
}

// Python is the interpreter that the application's packages belong to.
type Python struct {
	Path   string // for argv; empty if there is none
	Folder string // to be put first in PATH; empty if PATH finds it by itself
	Why    string
}

// Home says whether $HOME serves as one.
type Home int

const (
	HomeGood    Home = iota // writable, or full of what libraries read
	HomeMissing             // not set, or no directory
	HomeSealed              // not writable, and nothing in it
)
