import { ConfigurationError, SeededRandom, SimulatedDisk } from '@millrace/base'
import { Configuration } from '@millrace/broker'
import { expect, test } from 'vitest'
import { keepFirstVoters, markIdentityUsed, QuorumDirectoryError, quorumIdentity } from './quorum-directory.ts'

const CLUSTER_ID = 'q1Sh-9_ISia_zwGINzRvyQ'

function configOf(settings: Readonly<Record<string, string>> = {}) {
  const all = {
    'node.id': '2',
    'cluster.id': CLUSTER_ID,
    'log.dirs': '/data',
    'controller.quorum.voters': '1@127.0.0.1:9091,2@127.0.0.1:9092,3@127.0.0.1:9093',
    'controller.listener.names': 'CONTROLLER',
    listeners: 'PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:9092',
    ...settings,
  }
  const texts = new Map(Object.entries(all).filter(([, text]) => text !== ''))
  return new Configuration(texts, { warn: () => undefined }).broker
}

function identityOn(disk: SimulatedDisk, settings: Readonly<Record<string, string>> = {}, seed = 1) {
  const config = configOf(settings)
  disk.makeDirectory('/data/quorum')
  return quorumIdentity(disk, config, config.cluster!, new SeededRandom(seed))
}

function writeFile(disk: SimulatedDisk, path: string, text: string): void {
  const file = disk.openFile(path, { create: true })
  file.truncate(0)
  file.write(Buffer.from(text), 0, text.length, 0)
  file.syncDataNow()
  file.close()
}

test('a first voter that lost all its disks is another replica to the rest', () => {
  const before = identityOn(new SimulatedDisk())
  const after = identityOn(new SimulatedDisk(), {}, 2)
  expect(before).toMatchObject({ clusterId: CLUSTER_ID, isNew: true, firstVoters: null })
  expect(after.directoryId).not.toBe(before.directoryId)
})

test('the first voters outlive a loss of power', () => {
  const disk = new SimulatedDisk()
  const identity = identityOn(disk)
  markIdentityUsed(disk, 2, identity)
  const voters = [1, 2, 3].map((id) => ({
    id,
    host: 'ä.example',
    port: 9090 + id,
    directoryId: identityOn(new SimulatedDisk(), {}, id).directoryId,
  }))
  keepFirstVoters(disk, 2, identity, voters)
  const again = disk.crashed({ choose: () => 0 })
  expect(identityOn(again)).toEqual({ ...identity, isNew: false, firstVoters: voters })
})

test('an identity outlives a loss of power, and the log may be made only until it was', () => {
  const disk = new SimulatedDisk()
  const first = identityOn(disk)
  const again = disk.crashed({ choose: () => 0 })
  const second = identityOn(again, { 'cluster.id': '' })
  expect(second).toEqual(first)
  markIdentityUsed(again, 2, second)
  const later = identityOn(again.crashed({ choose: () => 0 }))
  expect(later).toEqual({ ...first, isNew: false })
})

test('the cluster must be named at the first start, and not another one later', () => {
  expect(() => identityOn(new SimulatedDisk(), { 'cluster.id': '' })).toThrow(
    /cluster.id must be given at the first start/,
  )
  const disk = new SimulatedDisk()
  identityOn(disk)
  expect(() => identityOn(disk, { 'cluster.id': 'AAAAAAAAAAAAAAAAAAAAZA' })).toThrow(ConfigurationError)
  expect(() => identityOn(disk, { 'node.id': '3' })).toThrow(/belongs to node 2, but node.id is 3/)
})

test('a controller that lost its identity is not made a new one; a broker, which never votes, is', () => {
  const disk = new SimulatedDisk()
  disk.makeDirectory('/data')
  writeFile(disk, '/data/meta.properties', 'version=1\n')
  expect(() => identityOn(disk)).toThrow(QuorumDirectoryError)
  expect(() => identityOn(disk)).toThrow(/identity.properties is missing, though this node was started before/)
  const broker = { 'process.roles': 'broker', 'node.id': '7', listeners: 'PLAINTEXT://127.0.0.1:0' }
  expect(identityOn(disk, broker).isNew).toBe(true)
})

function identityText(voters: string): string {
  return `version=1\ncluster.id=${CLUSTER_ID}\nnode.id=2\ndirectory.id=${CLUSTER_ID}\nused=true\n${voters}\n`
}

test('an identity that cannot be read is not replaced', () => {
  for (const text of [
    '',
    'version=2\n',
    'x'.repeat(70_000),
    `version=1\ncluster.id=${CLUSTER_ID}\nnode.id=2\nused=true\n`,
    identityText('first.voters='),
    identityText('first.voters=[]'),
    identityText('first.voters=[null]'),
    identityText('first.voters=[{"id":1,"host":"a","port":1}]'),
  ]) {
    const disk = new SimulatedDisk()
    disk.makeDirectory('/data/quorum')
    writeFile(disk, '/data/quorum/identity.properties', text)
    expect(() => identityOn(disk)).toThrow(/cannot be read/)
  }
})

test('a single node is not taken into a cluster with its data', () => {
  const disk = new SimulatedDisk()
  disk.makeDirectory('/data/metadata')
  expect(() => identityOn(disk)).toThrow(/metadata of a single node/)
})
