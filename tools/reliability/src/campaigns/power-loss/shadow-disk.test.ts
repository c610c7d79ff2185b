import { describe, expect, it } from 'vitest'
import { allKept, allLost, type Fate } from './fate.ts'
import type { ShadowDirectory } from './shadow-directory.ts'
import { ShadowDisk } from './shadow-disk.ts'
import { ShadowFile } from './shadow-file.ts'
import type { Operation, TraceRecord } from './trace.ts'

const O_CREAT = 0o100

const record = (operation: Operation, fields: Partial<Omit<TraceRecord, 'operation'>> = {}): TraceRecord => ({
  operation,
  fd: -1,
  position: 0,
  extra: 0,
  payload: Buffer.alloc(0),
  ...fields,
})

const path = (...names: string[]) => ({ payload: Buffer.from(names.map((name) => `/root/${name}`).join('\0')) })
const open = (fd: number, name: string) => [
  record('opening', { extra: O_CREAT, ...path(name) }),
  record('opened', { fd, ...path(name) }),
]
const openRoot = (fd: number) => record('opened', { fd, payload: Buffer.from('/root') })
const write = (fd: number, position: number, bytes: Buffer | string) =>
  record('write', { fd, position, payload: Buffer.from(bytes) })
const resize = (fd: number, sizeBytes: number) => record('resize', { fd, position: sizeBytes })
const sync = (fd: number, token: number) => [
  record('syncBegin', { fd, position: token }),
  record('syncEnd', { fd, position: token, extra: 1 }),
]

/** All files by their paths, as text. */
function filesOf(directory: ShadowDirectory, prefix = ''): Record<string, string> {
  const files: Record<string, string> = {}
  for (const [name, node] of directory.names) {
    if (node instanceof ShadowFile) files[prefix + name] = node.contents().toString('latin1')
    else Object.assign(files, { [`${prefix}${name}/`]: '' }, filesOf(node, `${prefix}${name}/`))
  }
  return files
}

function after(records: readonly TraceRecord[], fate: Fate): Record<string, string> {
  const disk = new ShadowDisk({ root: '/root' })
  disk.follow(records)
  disk.cutPower(fate)
  return filesOf(disk.tree)
}

const pages = (count: number, text: string) => Buffer.alloc(count * 4096, text)

describe('what a power cut leaves', () => {
  it('keeps bytes that were synced under a name that was synced, and no others', () => {
    const records = [...open(3, 'a'), write(3, 0, 'one'), ...sync(3, 1), openRoot(4), ...sync(4, 2), write(3, 3, 'two')]
    expect(after(records, allLost)).toEqual({ a: 'one' })
    expect(after(records, allKept)).toEqual({ a: 'onetwo' })
  })

  it('loses a synced file whose name was not synced, and with a directory all that is in it', () => {
    const records = [
      record('makeDirectory', path('d')),
      ...open(3, 'd/a'),
      write(3, 0, 'one'),
      ...sync(3, 1),
      record('opened', { fd: 4, ...path('d') }),
      ...sync(4, 2),
    ]
    expect(after(records, allLost)).toEqual({})
    expect(after([...records, openRoot(5), ...sync(5, 3)], allLost)).toEqual({ 'd/': '', 'd/a': 'one' })
  })

  it('covers by a sync what was written before it began only', () => {
    const begun = [
      ...open(3, 'a'),
      openRoot(4),
      ...sync(4, 1),
      write(3, 0, 'one'),
      record('syncBegin', { fd: 3, position: 2 }),
    ]
    const records = [...begun, write(3, 0, 'two'), write(3, 3, '!')]
    expect(after([...records, record('syncEnd', { fd: 3, position: 2, extra: 1 })], allLost)).toEqual({ a: 'one' })
    expect(after(records, allLost)).toEqual({ a: '' })
    expect(after([...records, record('syncEnd', { fd: 3, position: 2, extra: 0 })], allLost)).toEqual({ a: '' })
  })

  it('is not set back by a sync that began earlier and ends later', () => {
    const records = [
      ...open(3, 'a'),
      openRoot(4),
      ...sync(4, 1),
      write(3, 0, 'one'),
      record('syncBegin', { fd: 3, position: 2 }),
      write(3, 0, 'two'),
      ...sync(3, 3),
      record('syncEnd', { fd: 3, position: 2, extra: 1 }),
    ]
    expect(after(records, allLost)).toEqual({ a: 'two' })
  })

  it('takes each page for itself, and the size for itself', () => {
    const records = [
      ...open(3, 'a'),
      write(3, 0, pages(1, 'x')),
      openRoot(4),
      ...sync(4, 1),
      ...sync(3, 2),
      write(3, 4096, pages(2, 'y')),
    ]
    let count = 0
    const secondOnly: Fate = {
      choosePrefix: (most) => most,
      keptSectors: (sectors) => (count++ === 1 ? [[0, sectors]] : []),
    }
    const [page, zeros] = ['x'.repeat(4096), '\0'.repeat(4096)]
    expect(after(records, secondOnly)).toEqual({ a: page + zeros + 'y'.repeat(4096) })
    const oldSize: Fate = { choosePrefix: () => 0, keptSectors: (sectors) => [[0, sectors]] }
    expect(after(records, oldSize)).toEqual({ a: page })
    const torn: Fate = { choosePrefix: (most) => most, keptSectors: () => [[1, 2]] }
    expect(after(records, torn).a?.slice(4096, 4096 + 1536)).toBe('\0'.repeat(512) + 'y'.repeat(512) + '\0'.repeat(512))
  })

  it('brings nothing back that was cut off before the file grew again', () => {
    const records = [
      ...open(3, 'a'),
      write(3, 0, pages(2, 'x')),
      openRoot(4),
      ...sync(4, 1),
      ...sync(3, 2),
      resize(3, 4096),
      resize(3, 8192),
    ]
    const sizesOnly: Fate = { choosePrefix: (most) => most, keptSectors: () => [] }
    expect(after(records, sizesOnly)).toEqual({ a: 'x'.repeat(4096) + '\0'.repeat(4096) })
    expect(after(records, allLost)).toEqual({ a: 'x'.repeat(8192) })
    expect(after([...records, ...sync(3, 3)], allLost)).toEqual({ a: 'x'.repeat(4096) + '\0'.repeat(4096) })
  })

  it('undoes renames and removals that were not synced, in their order', () => {
    const created = [...open(3, 'a'), write(3, 0, 'one'), ...open(5, 'b'), openRoot(4), ...sync(4, 1), ...sync(3, 2)]
    const records = [...created, record('rename', path('a', 'c')), record('unlink', path('b'))]
    expect(after(records, allLost)).toEqual({ a: 'one', b: '' })
    expect(after(records, { ...allLost, choosePrefix: (most) => Math.min(most, 1) })).toEqual({ c: 'one', b: '' })
    expect(after([...records, ...sync(4, 3)], allLost)).toEqual({ c: 'one' })
  })

  it('leaves all of it after a sync of the whole file system', () => {
    const records = [
      record('makeDirectory', path('d')),
      ...open(3, 'd/a'),
      write(3, 0, 'one'),
      openRoot(4),
      record('syncAllBegin', { fd: 4, position: 1 }),
      record('syncAllEnd', { fd: 4, position: 1, extra: 1 }),
      write(3, 0, 'two'),
    ]
    expect(after(records, allLost)).toEqual({ 'd/': '', 'd/a': 'one' })
  })

  it('takes back what failed, and the rest of a write that was cut short', () => {
    const failed = record('cutShort')
    const records = [
      ...open(3, 'a'),
      resize(3, 10),
      failed,
      write(3, 0, 'three'),
      record('cutShort', { fd: 3, position: 2 }),
      record('unlink', path('a')),
      failed,
    ]
    expect(after(records, allKept)).toEqual({ a: 'th' })
  })

  it('keeps nothing on a disk that ignores syncs', () => {
    const disk = new ShadowDisk({ root: '/root', ignoresSyncs: true })
    disk.follow([...open(3, 'a'), write(3, 0, 'one'), ...sync(3, 1), openRoot(4), ...sync(4, 2)])
    disk.cutPower(allLost)
    expect(filesOf(disk.tree)).toEqual({})
  })

  it('keeps what it syncs elsewhere on a disk that ignores syncs at some paths', () => {
    const disk = new ShadowDisk({ root: '/root', ignoresSyncs: (name) => name === 'b' })
    disk.follow([
      ...[...open(3, 'a'), write(3, 0, 'one'), ...sync(3, 1)],
      ...[...open(4, 'b'), write(4, 0, 'two'), ...sync(4, 2)],
      ...[openRoot(5), ...sync(5, 3)],
    ])
    disk.cutPower(allLost)
    expect(filesOf(disk.tree)).toEqual({ a: 'one', b: '' })
  })

  it('goes on from what was left', () => {
    const disk = new ShadowDisk({ root: '/root' })
    disk.follow([...open(3, 'a'), write(3, 0, pages(3, 'x')), ...sync(3, 1), openRoot(4), ...sync(4, 2)])
    disk.cutPower(allLost)
    const [before] = [disk.tree.names.get('a')]
    disk.cutPower(allLost)
    expect(disk.tree.names.get('a')).toBe(before)
    disk.follow([record('opened', { fd: 3, ...path('a') }), write(3, 0, 'y')])
    disk.cutPower(allLost)
    expect(filesOf(disk.tree)).toEqual({ a: 'x'.repeat(3 * 4096) })
  })

  it('goes on losing after a kill alone what nobody has synced since', () => {
    const kill = (...later: TraceRecord[]) => {
      const disk = new ShadowDisk({ root: '/root' })
      const unfinished = record('syncBegin', { fd: 3, position: 3 })
      disk.follow([
        ...open(3, 'a'),
        openRoot(4),
        ...sync(4, 1),
        write(3, 0, 'one'),
        ...sync(3, 2),
        write(3, 3, 'two'),
        unfinished,
      ])
      disk.endProcess()
      disk.follow([record('opened', { fd: 7, ...path('a') }), ...later])
      expect(filesOf(disk.tree)).toEqual({ a: 'onetwo' })
      disk.cutPower(allLost)
      return filesOf(disk.tree)
    }
    expect(kill()).toEqual({ a: 'one' })
    // By another descriptor, in another life: a sync is of the file.
    expect(kill(...sync(7, 1))).toEqual({ a: 'onetwo' })
    // The end of a sync that had begun before the kill is another one's.
    expect(kill(record('syncEnd', { fd: 7, position: 3, extra: 1 }))).toEqual({ a: 'one' })
    expect(() => kill(write(3, 0, 'x'))).toThrow('not open')
  })

  it('refuses what it does not understand', () => {
    const follow = (...records: TraceRecord[]) => new ShadowDisk({ root: '/root' }).follow(records)
    expect(() => follow(record('unsupported', { payload: Buffer.from('link') }))).toThrow('link')
    expect(() => follow(write(3, 0, 'x'))).toThrow('not open')
    expect(() => follow(openRoot(3), write(3, 0, 'x'))).toThrow('directory')
    expect(() => follow(record('opened', { fd: 3, ...path('a') }))).toThrow('nothing is known')
    expect(() =>
      follow(record('makeDirectory', path('d')), ...open(3, 'a'), record('rename', path('a', 'd/a'))),
    ).toThrow('another directory')
  })
})
