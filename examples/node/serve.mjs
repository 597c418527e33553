// The rest of the application: it opens its port when the database has answered once, and not before.
import http from 'node:http';

export async function serve(countUsers) {
  try {
    await countUsers();
  } catch (error) {
    console.error(`not started: ${said(error)}`);
    process.exit(1);
  }
  const server = http.createServer(async (_, response) => {
    try {
      response.end(`${await countUsers()} users\n`);
    } catch (error) {
      console.error(`not answered: ${said(error)}`);
      response.writeHead(503).end('no database\n');
    }
  });
  server.listen(process.env.PORT ?? 8080, () => console.log(`listening on ${server.address().port}`));
}

// What the server said and advises; libraries wrap it.
function said(error) {
  const original = error.original ?? error.cause ?? error;
  return [original.message, original.hint].filter(Boolean).join('\n');
}
