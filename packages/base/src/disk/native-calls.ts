import { createRequire } from 'node:module'

/**
 * System calls that Node does not offer, from the C library of the process through koffi. Addresses travel as numbers (user
 * space ends below 2^47, so they are exact), which costs a third of koffi's pointer objects.
 */
export interface NativeCalls {
  readonly pageBytes: number
  /** Maps a file for reading, shared. Null if refused. */
  mapForReading(fd: number, sizeBytes: number): { address: number; memory: ArrayBuffer } | null
  unmap(address: number, sizeBytes: number): void
  /** Whether all pages of the range are in memory. `address` is page aligned. */
  isResident(address: number, sizeBytes: number): boolean
  /** Real blocks for `[from, to)`, not written; resolves with 0 or an errno. On the thread pool. */
  allocate(fd: number, from: number, to: number): Promise<number>
  /** Syncs all files of the file system that holds the open one, on the thread pool; whether it succeeded. Null if there is no such call. */
  syncFileSystem: ((fd: number) => Promise<boolean>) | null
  /** Exclusive lock on an open file, without waiting: whether it was got. */
  tryLock(fd: number): boolean
}

const PROT_READ = 1
const MAP_SHARED = 1
const LOCK_EX = 2
const LOCK_NB = 4
const MAP_FAILED = 2n ** 64n - 1n
/** Mincore answers one byte a page; longer ranges are asked in pieces. */
const RESIDENCY_CHUNK_PAGES = 4096

type KoffiFunction = ((...args: unknown[]) => unknown) & {
  async(...args: [...unknown[], (error: unknown, result: unknown) => void]): void
}
interface Koffi {
  load(path: string | null): { func(prototype: string): KoffiFunction }
  address(value: unknown): bigint
  /** Of the calling thread's last call. */
  errno(): number
  view(pointer: unknown, sizeBytes: number): ArrayBuffer
}

let loaded: NativeCalls | null | undefined

/**
 * The calls, or null where they do not exist (Windows; a platform without a koffi binary). Loaded on first use, since loading
 * koffi takes 15 ms that a process without a disk should not pay.
 */
export function nativeCalls(): NativeCalls | null {
  if (loaded === undefined) loaded = process.platform === 'win32' ? null : loadNativeCalls()
  return loaded
}

function loadNativeCalls(): NativeCalls | null {
  let koffi: Koffi
  try {
    koffi = createRequire(import.meta.url)('koffi') as Koffi
  } catch {
    return null // no prebuilt binary for this platform: positioned reads and zero-filling do the work
  }
  const libc = koffi.load(null)
  const mmap = libc.func('void *mmap(void *address, size_t size, int protection, int flags, int fd, int64 offset)')
  const munmap = libc.func('int munmap(uintptr_t address, size_t size)')
  const mincore = libc.func('int mincore(uintptr_t address, size_t size, uintptr_t vector)')
  const flock = libc.func('int flock(int fd, int operation)')
  // Not posix_fallocate: where the file system cannot, glibc's writes a zero into each block instead, over what was appended meanwhile.
  const allocate =
    process.platform === 'linux' ? libc.func('int fallocate(int fd, int mode, int64 offset, int64 size)') : null
  const syncfs = process.platform === 'linux' ? libc.func('int syncfs(int fd)') : null
  const residency = Buffer.alloc(RESIDENCY_CHUNK_PAGES)
  const residencyAddress = Number(koffi.address(residency))
  const pageBytes = libc.func('int getpagesize()')() as number
  return {
    pageBytes,
    mapForReading(fd, sizeBytes) {
      const pointer = mmap(null, sizeBytes, PROT_READ, MAP_SHARED, fd, 0) as bigint
      if (pointer === MAP_FAILED) return null
      return { address: Number(pointer), memory: koffi.view(pointer, sizeBytes) }
    },
    unmap(address, sizeBytes) {
      munmap(address, sizeBytes)
    },
    isResident(address, sizeBytes) {
      for (let done = 0; done < sizeBytes; done += RESIDENCY_CHUNK_PAGES * pageBytes) {
        const pieceBytes = Math.min(sizeBytes - done, RESIDENCY_CHUNK_PAGES * pageBytes)
        if (mincore(address + done, pieceBytes, residencyAddress) !== 0) return false
        const pages = Math.ceil(pieceBytes / pageBytes)
        for (let page = 0; page < pages; page++) if ((residency[page]! & 1) === 0) return false
      }
      return true
    },
    allocate(fd, from, to) {
      if (allocate === null) return Promise.resolve(-1)
      return new Promise((resolve, reject) => {
        allocate.async(fd, 0, from, to - from, (error, result) => {
          if (error) reject(error as Error)
          // Each thread has an errno of its own: the refusal is asked for once more on this one, where it comes at once.
          else resolve(result === 0 || allocate(fd, 0, from, to - from) === 0 ? 0 : koffi.errno())
        })
      })
    },
    syncFileSystem:
      syncfs === null
        ? null
        : (fd) =>
            new Promise((resolve, reject) => {
              syncfs.async(fd, (error, result) => {
                if (error) reject(error as Error)
                else resolve(result === 0)
              })
            }),
    tryLock(fd) {
      return flock(fd, LOCK_EX | LOCK_NB) === 0
    },
  }
}
