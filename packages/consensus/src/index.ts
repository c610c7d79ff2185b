export * from './metadata/image.ts'
