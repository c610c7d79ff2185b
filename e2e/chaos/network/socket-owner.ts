import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/**
 * The process that opened a connection over loopback, among some processes: what is a peer and what a client is told by nothing else,
 * since all come from the same address. Linux only. Null: it is none of them, or it has closed the connection already.
 */
export function ownerOf(localPort: number, remotePort: number, pids: readonly number[]): number | null {
  const inode = inodeOf(localPort, remotePort)
  if (inode === null) return null
  const target = `socket:[${inode}]`
  return pids.find((pid) => holds(pid, target)) ?? null
}

function inodeOf(localPort: number, remotePort: number): string | null {
  const [local, remote] = [localPort, remotePort].map((port) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`)
  // Java connects with IPv6 sockets, to the same addresses.
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const [, from, to, , , , , , , inode] = line.trim().split(/\s+/)
      if (inode !== undefined && from?.endsWith(local!) && to?.endsWith(remote!)) return inode
    }
  }
  return null
}

function holds(pid: number, target: string): boolean {
  try {
    const folder = `/proc/${pid}/fd`
    return readdirSync(folder).some((name) => linkOf(`${folder}/${name}`) === target)
  } catch (error) {
    // It has ended.
    if (isGone(error)) return false
    throw error
  }
}

function linkOf(path: string): string | null {
  try {
    return readlinkSync(path)
  } catch (error) {
    // Closed between listing and looking.
    if (isGone(error)) return null
    throw error
  }
}

/** A process of somebody else counts as none. */
function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES'
}
