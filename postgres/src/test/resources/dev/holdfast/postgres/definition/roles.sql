CREATE ROLE "Shop Owner";
CREATE ROLE app_writer;
CREATE ROLE "reader ""x""";
GRANT CREATE ON DATABASE shop TO "Shop Owner";
