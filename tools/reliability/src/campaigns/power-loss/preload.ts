import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

/** Compiles the library into a folder and returns its path. Needs gcc, which `tools/setup-e2e` installs; fails if it is not there. */
export function compilePreload(root: string, folder: string): string {
  const library = join(folder, 'lost-writes.so')
  const source = join(root, 'tools/reliability/native/lost-writes.c')
  execFileSync(
    'gcc',
    [
      '-std=gnu11',
      '-O2',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-shared',
      '-fPIC',
      '-o',
      library,
      source,
      '-ldl',
      '-lpthread',
    ],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  )
  return library
}

/** What a process needs in its environment so that its changes below `dataDirectory` are written down. */
export function preloadEnvironment(library: string, dataDirectory: string, trace: string): Record<string, string> {
  return {
    LD_PRELOAD: library,
    LOST_WRITES_ROOT: dataDirectory,
    LOST_WRITES_TRACE: trace,
    // Writes through a ring of the kernel pass by the C library. Off is Node's default for files; this keeps it so.
    UV_USE_IO_URING: '0',
  }
}
