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

/** Loopback as the kernel's tables write it, also where Java connects with IPv6 sockets to the same address. */
const tables = [
  { file: '/proc/net/tcp', address: '0100007F' },
  { file: '/proc/net/tcp6', address: '0000000000000000FFFF00000100007F' },
]

/** Position of the inode among the columns behind the two addresses. */
const INODE_COLUMN = 6

/** The tables have thousands of lines, and this is asked for every connection: nothing but the line that counts is taken apart. */
function inodeOf(localPort: number, remotePort: number): string | null {
  const [local, remote] = [localPort, remotePort].map((port) => port.toString(16).toUpperCase().padStart(4, '0'))
  for (const { file, address } of tables) {
    const text = readFileSync(file, 'latin1')
    const wanted = ` ${address}:${local} ${address}:${remote} `
    const position = text.indexOf(wanted)
    if (position < 0) continue
    const columns = text
      .slice(position + wanted.length, text.indexOf('\n', position))
      .trim()
      .split(/\s+/)
    return columns[INODE_COLUMN] ?? null
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
