"""Builds the interpreter of the portable program: CPython from Debian's sources, compiled against an old glibc.

    python build/interpreter.py [--fetch] FOLDER

makes FOLDER/python (a Python with its standard library), FOLDER/lib (the C++ run time that libraries in wheels need)
and FOLDER/site (these libraries, as requirements.lock has them, and PyInstaller). What is there already, made from the
same inputs, is kept. With --fetch it ends when all that comes over the network is there. Needs a Debian and the archive
of that; takes about ten minutes on two cores. The exit code is 75 where this host or its network is not one for it, and
1 for whatever else is wrong.

The compiler is that of the zig project, which comes as a PyPI package and can aim at any glibc; all libraries are
linked in statically, so the result needs nothing but that glibc.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

#: The oldest glibc that the result runs with; the wheels of its libraries need 2.25 and more.
MACHINE = "x86_64"
TARGET = f"{MACHINE}-linux-gnu.2.17"

ZIG = "ziglang==0.17.1 --hash=sha256:ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54"

#: Debian's release whose sources are taken, and an older one whose C++ run time is.
SOURCES = "bookworm"
RUN_TIME = "bullseye"

#: Where the interpreter believes to live: always the same, so that the same inputs make the same bytes.
PREFIX = "/opt/cdktr"

#: What a build may tell of its time: nothing.
EPOCH = "1700000000"

TERMINALS = "xterm,xterm-256color,screen,screen-256color,tmux,tmux-256color,linux,vt100,vt220,ansi"

#: Source package -> commands that build and install it as a static library under $OUT. The longest comes first.
LIBRARIES: Mapping[str, str] = {
    "openssl": (
        "./Configure linux-x86_64 no-shared no-tests no-engine no-dso no-async --prefix=$OUT --libdir=lib"
        " --openssldir=/etc/ssl && make -j2 build_libs"
        f" ENGINESDIR={PREFIX}/engines MODULESDIR={PREFIX}/modules && make install_dev"
    ),
    "zlib": "./configure --static --prefix=$OUT && make -j2 libz.a && make install",
    "bzip2": (
        'make -j2 libbz2.a CC="$CC" AR="$AR" RANLIB="$RANLIB" CFLAGS="$CFLAGS -D_FILE_OFFSET_BITS=64" &&'
        " cp libbz2.a $OUT/lib && cp bzlib.h $OUT/include"
    ),
    "xz-utils": (
        "./configure --prefix=$OUT --disable-shared --with-pic --disable-xz --disable-xzdec --disable-lzmadec"
        " --disable-lzmainfo --disable-scripts --disable-doc --disable-nls && make -j2 && make install"
    ),
    "libffi": (
        "./configure --prefix=$OUT --disable-shared --with-pic --disable-exec-static-tramp --disable-docs"
        " --disable-multi-os-directory && make -j2 && make install"
    ),
    "ncurses": (
        "./configure --prefix=$OUT --without-shared --without-debug --enable-widec --without-ada --without-cxx"
        f" --without-cxx-binding --without-manpages --without-progs --without-tests --with-fallbacks={TERMINALS}"
        " --with-terminfo-dirs=/etc/terminfo:/lib/terminfo:/usr/share/terminfo:/usr/lib/terminfo"
        " --with-default-terminfo-dir=/usr/share/terminfo --disable-stripping && make -j2 && make install"
    ),
    "sqlite3": (
        "./configure --prefix=$OUT --disable-shared --disable-tcl --disable-readline --with-pic"
        " && make -j2 sqlite3.h libsqlite3.la && make install-libLTLIBRARIES install-includeHEADERS"
        " || { make sqlite3.c && $CC $CFLAGS -c sqlite3.c -o s.o && $AR rcs $OUT/lib/libsqlite3.a s.o"
        " && cp sqlite3.h sqlite3ext.h $OUT/include; }"
    ),
}

PYTHON = "python3.11"

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"

#: Of the lock file, what the program is made of and what makes it.
PACKAGES = frozenset(
    "pyzmq duckdb pyyaml asciimatics wcwidth tzdata uv pyinstaller pyinstaller-hooks-contrib altgraph packaging"
    " setuptools".split()
)

#: The kinds of wheels that run where the interpreter does: no newer than glibc 2.28.
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_24_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


#: The exit code of what cannot be had here, and of nothing else: whoever calls may do without.
NOT_HERE = 75

#: What apt and pip say when they reach nobody.
_UNREACHED = re.compile(
    "Could not resolve|Temporary failure resolving|Could not connect|Unable to connect|Connection (?:refused|timed out)"
    "|Network is unreachable|No route to host|NewConnectionError|NameResolutionError|ConnectTimeoutError"
    "|ReadTimeoutError|ProxyError"
)

#: What came, and is not what was asked for, however often something before it did not come.
_WRONG = re.compile(r"DO NOT MATCH THE HASHES|Hash Sum mismatch|is not signed|NO_PUBKEY|\(from versions: (?!none\))")


class NotHereError(Exception):
    """The portable interpreter cannot be had on this host or in its network, which is no fault of the recipe."""


def run(command: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path) -> None:
    """Run to the end, output into `log`. Raises SystemExit that shows the end of it, NotHereError that does when the
    network was not there."""
    with log.open("ab") as file:
        start = file.tell()
        done = subprocess.run(command, cwd=cwd, env=dict(env), stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        said = log.read_bytes()[start:].decode(errors="replace")
        tail = "\n".join(said.splitlines()[-30:])
        why = f"{tail}\n\n{' '.join(command)[:200]}: exit code {done.returncode}; all of it is in {log}"
        raise NotHereError(why) if _UNREACHED.search(said) and not _WRONG.search(said) else SystemExit(why)


class Apt:
    """Debian's archive, at the mirror that this host uses already, asked with an index of its own in `folder`."""

    def __init__(self, folder: Path, kind: str, release: str) -> None:
        (folder / "lists/partial").mkdir(parents=True, exist_ok=True)
        (folder / "list").write_text(f"{kind} [signed-by={keyring()}] {mirror()} {release} main\n")
        pairs = {
            "Dir::Etc::sourcelist": folder / "list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": folder / "lists",
            "Dir::Cache": folder,
            "APT::Sandbox::User": "root",
            "Acquire::Check-Valid-Until": "false",
            # An index that did not come is an error here, not first in what is looked for in it.
            "APT::Update::Error-Mode": "any",
        }
        self._options = [word for name, value in pairs.items() for word in ("-o", f"{name}={value}")]
        self._folder = folder
        self.call("update", cwd=folder)

    def call(self, *words: str, cwd: Path) -> None:
        """`apt-get WORDS`, without a question."""
        # In the words that `run` knows.
        env = {**os.environ, "LC_ALL": "C.UTF-8"}
        run(["apt-get", "-q", *self._options, *words], cwd, env, self._folder / "log")


def mirror() -> str:
    """The address of Debian's archive as the sources of this host name it. Raises NotHereError on another system, and
    SystemExit on a Debian that seems to name none."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for text in (file.read_text(errors="replace") for file in files if file.is_file()):
        if found := re.search(r"^(?:deb(?:\s+\[[^]]*\])?|URIs:)\s+(\S+/debian/?)(?:\s|$)", text, re.MULTILINE):
            return found[1]
    why = "This host names no Debian archive in /etc/apt: the portable interpreter is built on Debian"
    raise SystemExit(why) if system() == "debian" else NotHereError(why)


def system() -> str:
    """The name by which this system knows itself."""
    try:
        return platform.freedesktop_os_release()["ID"]
    except OSError:
        return ""


def keyring() -> Path:
    """The keys of Debian's archive."""
    return Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def tools(folder: Path) -> dict[str, str]:
    """The compiler, and the environment in which it is the one that is found."""
    zig = folder / "zig"
    if not (zig / "ziglang").is_dir():
        (folder / "zig.lock").write_text(ZIG + "\n")
        pip_install(folder, "zig")
    wrappers = folder / "bin"
    wrappers.mkdir(exist_ok=True)
    program = zig / "ziglang/zig"
    mapped = f"-ffile-prefix-map={folder}=/build"
    for name, words in {
        "zig-cc": f"cc -target {TARGET} -Wno-date-time {mapped}",
        "zig-c++": f"c++ -target {TARGET} -Wno-date-time {mapped}",
        "zig-ar": "ar",
        "zig-ranlib": "ranlib",
    }.items():
        (wrappers / name).write_text(f'#!/bin/sh\nexec "{program}" {words} "$@"\n')
        (wrappers / name).chmod(0o755)
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
    return kept | {
        # Found by name: where they are would stand in what is built.
        "PATH": f"{wrappers}:{os.environ['PATH']}",
        "CC": "zig-cc",
        "CXX": "zig-c++",
        "AR": "zig-ar",
        "RANLIB": "zig-ranlib",
        "OUT": str(folder / "out"),
        "CFLAGS": "-O2 -fPIC -g0",
        "SOURCE_DATE_EPOCH": EPOCH,
        "ZERO_AR_DATE": "1",
        "LC_ALL": "C.UTF-8",
        "ZIG_GLOBAL_CACHE_DIR": str(folder / "zig-cache"),
        "PKG_CONFIG_LIBDIR": str(folder / "out/lib/pkgconfig"),
    }


def unpacked(sources: Path, package: str) -> Path:
    """The folder into which `apt-get source` unpacked a package."""
    [description] = sources.glob(f"{package}_*.dsc")
    text = description.read_text(errors="replace")
    version = re.search(r"^Version: (?:\d+:)?(.+?)(?:-[^-\n]*)?$", text, re.MULTILINE)
    assert version is not None
    return sources / f"{package}-{version[1]}"


def build_libraries(sources: Path, env: Mapping[str, str]) -> None:
    """Each of LIBRARIES, under $OUT. Two at once: much of it is `./configure`, which uses one core."""
    out = Path(env["OUT"])
    for name in ("lib", "include"):
        (out / name).mkdir(parents=True, exist_ok=True)

    def build(package: str) -> None:
        done = out / f".{package}"
        if not done.exists():
            print(f"  {package}", flush=True)
            run(["sh", "-ec", LIBRARIES[package]], unpacked(sources, package), env, out / f"{package}.log")
            done.touch()

    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(build, package) for package in LIBRARIES]
        try:
            for each in made:
                each.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def build_python(sources: Path, env: Mapping[str, str], target: Path) -> None:
    """CPython as a shared library, with its extension modules, in `target`."""
    print(f"  {PYTHON}", flush=True)
    source, out = unpacked(sources, PYTHON), env["OUT"]
    log = Path(out) / "python.log"
    setup = source / "setup.py"
    text = setup.read_text()
    for before, after in (
        # Nothing of this host: neither its headers nor its libraries.
        ("system_lib_dirs = ['/lib64', '/usr/lib64', '/lib', '/usr/lib']", "system_lib_dirs = []"),
        ("system_include_dirs = ['/usr/include']", "system_include_dirs = []"),
        ("        self.add_multiarch_paths()\n", ""),
        # Debian's fix of a weakness in expat takes a header that only the core may include.
        (
            "Extension('pyexpat', sources=['pyexpat.c'])",
            "Extension('pyexpat', sources=['pyexpat.c'], extra_compile_args=['-DPy_BUILD_CORE_MODULE'])",
        ),
    ):
        text = text.replace(before, after, 1)
    setup.write_text(text)
    made = source / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    env = {
        **env,
        "CFLAGS": "-O2 -g0",
        "CPPFLAGS": f"-I{out}/include -I{out}/include/ncursesw",
        "LDFLAGS": f"-L{out}/lib",
    }
    options = ["--enable-shared", "--without-ensurepip", "--disable-test-modules", f"--with-openssl={out}"]
    options += [f"--prefix={PREFIX}", f"--with-build-python={base_python()}"]
    run(["../configure", *options], made, env, log)
    makefile = made / "Makefile"
    text = re.sub(r"-Wl,-h,?", "-Wl,-soname,", makefile.read_text())
    # The compiler takes no library for the only thing to link.
    text = text.replace("\t$(BLDSHARED) $(NO_AS_NEEDED) -o $@ -Wl,-soname,$@ $^", "\tcp $^ $@")
    # Whoever takes modules from it compiles them.
    text = re.sub(r"\$\(PYTHON_FOR_BUILD\) -Wi .*/compileall\.py", "true", text)
    makefile.write_text(text)
    run(["make", "-j2"], made, env, log)
    [built] = made.glob("build/lib*/_sysconfigdata__linux_*.py")
    # The name under which the installation looks for it.
    shutil.copy(built, built.with_name(built.name.replace("__linux_", "__", 1)))
    run(["make", "install", f"DESTDIR={target}"], made, env, log)


def base_python() -> str:
    """The interpreter itself, not the link of an environment. Raises NotHereError where none is of PYTHON's version."""
    path = shutil.which(f"{sys.base_prefix}/bin/{PYTHON}") or shutil.which(PYTHON)
    if path is None:
        raise NotHereError(f"Building {PYTHON} needs a {PYTHON} on this host: sudo apt-get install {PYTHON}")
    return path


def take_run_time(folder: Path) -> None:
    """libstdc++ and libgcc_s of an older Debian: those of this host need its own glibc."""
    apt = Apt(folder / "apt-runtime", "deb", RUN_TIME)
    work, lib = folder / "runtime", folder / "lib"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    lib.mkdir(exist_ok=True)
    apt.call("download", f"libstdc++6/{RUN_TIME}", f"libgcc-s1/{RUN_TIME}", cwd=work)
    for package in sorted(work.glob("*.deb")):
        run(["dpkg-deb", "-x", package.name, "x"], work, os.environ, folder / "apt-runtime/log")
    for name in ("libstdc++.so.6", "libgcc_s.so.1"):
        [found] = work.glob(f"x/**/{name}")
        shutil.copy(found.resolve(), lib / name)


def take_packages(folder: Path) -> None:
    """The wheels of PACKAGES, unpacked into one folder."""
    blocks = re.findall(r"^([a-z0-9][\w.-]*)(==.*\n(?:    .*\n?)*)", LOCK.read_text(), re.MULTILINE | re.IGNORECASE)
    chosen = "".join(name + pins for name, pins in blocks if name.lower() in PACKAGES)
    (folder / "site.lock").write_text(chosen)
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    pip_install(folder, "site", "--implementation", "cp", "--python-version", "3.11", *platforms)


def pip_install(folder: Path, name: str, *options: str) -> None:
    """The wheels of `name`.lock, unpacked into the folder `name`."""
    shutil.rmtree(folder / name, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    pip += ["--require-hashes", "--only-binary", ":all:", *options]
    command = [*pip, "--target", str(folder / name), "-r", f"{name}.lock"]
    run(command, folder, os.environ, folder / f"{name}.log")


def write_versions(folder: Path, sources: Path) -> None:
    """For the list of components: the versions of the libraries, which do not all tell them."""
    names = {"xz-utils": "liblzma", "zlib": "zlib", "bzip2": "bzip2", "libffi": "libffi", "ncurses": "ncurses"}
    versions = {
        name: unpacked(sources, package).name.rpartition("-")[2].removesuffix(".dfsg")
        for package, name in names.items()
    }
    (folder / "python/versions.json").write_text(json.dumps(versions, indent=2, sort_keys=True) + "\n")


def digest(*files: Path) -> str:
    """What files hold, as one number."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def is_done(stamp: Path, inputs: str) -> bool:
    """Whether a step was done with these inputs, and has said so in its file."""
    return stamp.is_file() and stamp.read_text() == inputs


def empty(folder: Path) -> None:
    """Make the folder, or remove what another recipe left in it. Raises SystemExit for one that holds something and was
    not made here: nobody's files are removed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = sorted(folder.iterdir())
        stamp = folder / "recipe"
        if found and not (stamp.is_file() and re.fullmatch(r"[0-9a-f]{64}", stamp.read_text(errors="replace"))):
            raise SystemExit(
                f"{folder} holds something that this build did not make: it is left alone."
                " Name a folder that is empty or not there, or remove it yourself"
            )
        for path in found:
            # That stays to the end: emptying that was cut short is gone on with.
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != stamp:
                path.unlink()
    except OSError as error:
        raise SystemExit(f"{folder} cannot be emptied for the portable interpreter: {error}") from None


def fetch(folder: Path) -> None:
    """All that comes over the network. Raises NotHereError where this host is not one for it, or has no network, and
    SystemExit for whatever else is wrong with it."""
    if platform.machine() != MACHINE:
        raise NotHereError(f"The portable program is for {MACHINE} and built on it; this host is {platform.machine()}")
    base_python()
    tools(folder)
    sources = folder / "sources"
    if not sources.is_dir():
        print("Fetching the sources …", flush=True)
        fresh = folder / "sources.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        Apt(folder / "apt", "deb-src", SOURCES).call("source", *LIBRARIES, PYTHON, cwd=fresh)
        fresh.rename(sources)
    take_run_time(folder)
    take_packages(folder)


def build(folder: Path) -> None:
    """The interpreter."""
    print("Building the portable interpreter, about ten minutes …", flush=True)
    env, sources, target = tools(folder), folder / "sources", folder / "installed"
    build_libraries(sources, env)
    shutil.rmtree(target, ignore_errors=True)
    build_python(sources, env, target)
    shutil.rmtree(folder / "python", ignore_errors=True)
    (target / PREFIX.lstrip("/")).rename(folder / "python")
    for noted in folder.glob("python/lib/python*/_sysconfigdata*.py"):
        noted.write_text(noted.read_text().replace(str(folder), "/build"))
    write_versions(folder, sources)


def main() -> None:
    """Fetch and build what the folder does not hold yet. What another recipe left there is no use."""
    folder, here = Path(sys.argv[-1]).resolve(), Path(__file__)
    recipe, inputs = digest(here), digest(here, LOCK)
    if not is_done(folder / "recipe", recipe):
        empty(folder)
        (folder / "recipe").write_text(recipe)
    if not is_done(folder / "fetched", inputs):
        fetch(folder)
        (folder / "fetched").write_text(inputs)
    if "--fetch" not in sys.argv and not is_done(folder / "built", recipe):
        build(folder)
        (folder / "built").write_text(recipe)


if __name__ == "__main__":
    try:
        main()
    except NotHereError as not_here:
        print(not_here, file=sys.stderr)
        sys.exit(NOT_HERE)
