/** The part of a workspace package.json that publishing needs. */
export interface WorkspaceManifest {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly license: string
  readonly engines?: Record<string, string>
  readonly dependencies?: Record<string, string>
}

/**
 * The package.json that goes out with a build. In the workspace `exports` names the TypeScript source, which Node runs directly;
 * below `node_modules` Node refuses to strip types, so a published package names the bundle and its declarations instead.
 */
export function publishedManifest(manifest: WorkspaceManifest): Record<string, unknown> {
  return {
    name: manifest.name,
    version: manifest.version,
    description: manifest.description,
    license: manifest.license,
    type: 'module',
    exports: { '.': { types: './types/index.d.ts', default: './index.js' } },
    engines: manifest.engines ?? {},
    dependencies: manifest.dependencies ?? {},
  }
}
