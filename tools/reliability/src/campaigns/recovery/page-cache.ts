import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'

/** Tells the system, file by file, that what it holds of a directory in memory is not needed. */
const FORGET = `
import os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        fd = os.open(os.path.join(folder, name), os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
`

/**
 * Takes what lies in a directory out of memory, so that the next reader waits for the disk. All of the machine's cache where we may,
 * which takes the directories themselves as well; else the contents of the files. Says which.
 */
export function dropPageCache(
  directory: string,
): 'all of the cache was dropped' | 'only contents of files were dropped' {
  const synced = spawnSync('sync', ['-f', directory])
  if (synced.status !== 0) throw new Error(`sync: ${synced.stderr}`)
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '3\n')
    return 'all of the cache was dropped'
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'EACCES' && code !== 'EROFS' && code !== 'EPERM' && code !== 'ENOENT') throw error
  }
  const forgotten = spawnSync('/usr/bin/python3', ['-c', FORGET, directory])
  if (forgotten.status !== 0) throw new Error(`posix_fadvise: ${forgotten.stderr}`)
  return 'only contents of files were dropped'
}
