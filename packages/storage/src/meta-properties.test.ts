import { type Disk, SeededRandom, SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { openMetaProperties } from './meta-properties.ts'

function diskWith(...files: readonly string[]): Disk {
  const disk = new SimulatedDisk()
  disk.makeDirectory('/data')
  for (const file of files) disk.openFile(`/data/${file}`, { create: true }).close()
  return disk
}

function open(disk: Disk, nodeId: number, clusterId: string | null = null) {
  return openMetaProperties(disk, '/data', { nodeId, clusterId }, new SeededRandom(1))
}

test('an empty directory becomes that of the node, and stays it', () => {
  const disk = diskWith()
  const first = open(disk, 1)
  expect(open(disk, 1)).toEqual(first)
})

test('a directory of another node or cluster says what to correct', () => {
  const disk = diskWith()
  open(disk, 1, 'a')
  expect(() => open(disk, 2, 'a')).toThrow('belongs to node 1, not 2: correct node.id, or give this node a directory')
  expect(() => open(disk, 1, 'b')).toThrow('belongs to cluster a, not b: correct cluster.id, or give this node')
})

test('logs without an owner are not taken over', () => {
  const disk = diskWith()
  disk.makeDirectory('/data/orders-0')
  expect(() => open(disk, 1)).toThrow('/data/meta.properties: missing or empty beside logs: restore it')
})

test('the directory of a local cluster says how it is started', () => {
  const disk = diskWith('cluster.json')
  disk.makeDirectory('/data/node-1')
  expect(() => open(disk, 1)).toThrow('holds the nodes of a local cluster, start it with --cluster N')
})
